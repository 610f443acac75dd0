"""SIGINT, SIGTERM and SIGHUP end what is at work, saved, in one line and with 128 + signal; children end with it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from acprop.runs import load_records
from acprop.runs.stopping import GRACE_S, alive
from tests.conftest import ROOT

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
# a run as train loops have it, which stops where the test wants: {0} is executed in the third step of the second epoch
RUN = """
import sys, time, torch
from acprop.runs import Run
from acprop.runs.launch import launch
from tests.runs.test_runs import config

def run(cfg):
    counter = torch.zeros(1)
    with Run.open(config(checkpoint_every_s=0 if "save" in sys.argv else 1e9)) as run:
        run.register(counter=counter)
        for epoch in run.epochs(3):
            for number in run.batches(range(run.batch, 4)):
                counter += torch.rand(1)
                if (epoch, number) == (1, 2) and not run._resumed:
                    print("here", flush=True)
                    {0}
            run.log("test", score=epoch)
"""
CELL = ("experiments.cifar", "model=vgg11", "scale=smoke", "epochs=50", "batch_size=16", "checkpoint_every_s=0",
        "tracking=none", "dataset=digits")  # fmt: skip


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until(condition, seconds=90.0):
    deadline = time.time() + seconds
    while time.time() < deadline:
        with contextlib.suppress(OSError, ValueError):
            if result := condition():
                return result
        time.sleep(0.1)
    pytest.fail("it did not come to that")


def signalled(code: str, kind: int) -> tuple[subprocess.Popen, str, float]:
    """The process of RUN with `code` in it, ended by the signal; what it said, and in how many seconds."""
    code = RUN.replace("{0}", code) + "\nrun(None)"
    process = start("-c", code)
    while process.stdout.readline() != "here\n":
        assert process.poll() is None, process.stderr.read()
    sent = time.time()
    process.send_signal(kind)
    _, said = process.communicate(timeout=120)
    return process, said, time.time() - sent


def status():
    (record,) = load_records("toy")
    return record.summary["status"], record.summary["steps"]


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_signal_ends_a_run_at_the_end_of_its_step(kind):
    process, said, _ = signalled("time.sleep(0.5)", kind)
    assert process.returncode == 128 + kind
    assert "Traceback" not in said
    assert status() == ("interrupted", 7)


WAITS = "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()"


@pytest.mark.parametrize(
    ("stuck", "kind"),
    [("while True: pass", signal.SIGHUP), ("while True: pass", signal.SIGINT), (WAITS, signal.SIGTERM)],
)
def test_a_signal_ends_a_run_whose_step_never_ends(stuck, kind):
    process, said, seconds = signalled(stuck, kind)
    assert process.returncode == 128 + kind
    assert seconds < 10
    (line,) = said.splitlines()
    assert f"no step ended in {GRACE_S} s" in line
    assert status()[0] == "interrupted"


def test_the_second_signal_changes_nothing():
    code = RUN.replace("{0}", "time.sleep(1)") + "\nrun(None)"
    process = start("-c", code)
    while process.stdout.readline() != "here\n":
        pass
    for kind in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        process.send_signal(kind)
        time.sleep(0.1)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT
    assert said == ""
    assert status() == ("interrupted", 7)


def test_what_a_process_was_started_to_ignore_it_ignores():
    code = RUN.replace("{0}", "time.sleep(0.5)") + "\nrun(None)"
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    process = start("-c", nohup + code)
    while process.stdout.readline() != "here\n":
        pass
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert status()[0] == "done"


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_command_that_has_done_its_work_ends_by_a_signal_with_the_same_code(kind):
    process = start(
        "-c", "import atexit, os, sys; from acprop.runs.launch import launch\n"
        f"atexit.register(os.kill, os.getpid(), {kind})\n"
        "sys.argv[1:] = ['scale=smoke']; launch('theory', lambda cfg: print('done'), lambda task: print('reported'))",
    )  # fmt: skip
    assert process.communicate(timeout=120) == ("done\nreported\n", "")
    assert process.returncode == 128 + kind


@pytest.mark.parametrize("state", ["", "counter=torch.zeros(1)"])
def test_a_signal_that_a_run_does_not_end_by_ends_what_is_around_it(state):
    process = start(
        "-c", "import os, signal, sys, torch\n"
        "from acprop.runs import Run\n"
        "from acprop.runs.launch import launch\n"
        "from tests.runs.test_runs import config\n"
        "def work(cfg):\n"
        "    with Run.open(config()) as run:\n"
        f"        run.register({state})\n"
        "        for epoch in run.epochs(1):\n"
        "            run.log('test', score=epoch)\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGHUP)\n"
        "        except SystemExit:\n"  # as some libraries do
        "            pass\n"
        "sys.argv[1:] = ['scale=smoke']; launch('theory', work, lambda task: print('reported'))",
    )  # fmt: skip
    said, error = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGHUP, error
    assert "reported" not in said
    assert error == "interrupted by SIGHUP: what is finished is kept, the same command goes on from there\n"
    assert status()[0] == "done"


@pytest.mark.slow
def test_a_command_says_one_line(tmp_path):
    kind = signal.SIGINT  # `make chaos` sends the others too
    process = start("-m", *CELL)
    until(lambda: list((tmp_path / "runs").glob("cifar/*/*/*/checkpoint.pt")))
    sent = time.time()
    process.send_signal(kind)
    _, said = process.communicate(timeout=120)
    assert time.time() - sent < 10
    assert process.returncode == 128 + kind
    name = signal.Signals(kind).name
    assert said == f"interrupted by {name}: what is finished is kept, the same command goes on from there\n"
    (record,) = load_records("cifar")
    assert record.status == "interrupted"


def descendants(pid: int) -> set[int]:
    """The processes under `pid`."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, table.splitlines())}
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "kind"),
    [
        ("joblib", signal.SIGINT),
        ("joblib", signal.SIGKILL),
        ("submitit_local", signal.SIGKILL),
        ("ray", signal.SIGTERM),
    ],
)
def test_the_runs_of_a_sweep_end_saved_when_its_command_does(launcher, kind, tmp_path):
    process = start("-m", CELL[0], "-m", *CELL[1:], "seed=0,1", f"hydra/launcher={launcher}")
    until(lambda: len(list((tmp_path / "runs").glob("cifar/*/*/*/checkpoint.pt"))) == 2)
    family = descendants(process.pid)
    assert len(family) >= 2
    process.send_signal(kind)
    process.wait(timeout=20)
    assert process.returncode == (-kind if kind == signal.SIGKILL else 128 + kind)
    until(lambda: not any(map(alive, family)), seconds=20)
    assert [record.status for record in load_records("cifar")] == ["interrupted"] * 2


@pytest.mark.slow
def test_the_ranks_of_torchrun_end_saved_when_it_is_killed(tmp_path):
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", *CELL)
    process = start(*command)
    until(lambda: list((tmp_path / "runs").glob("cifar/*/*/*/checkpoint.pt")))
    family = descendants(process.pid)
    process.kill()
    process.wait(timeout=20)
    until(lambda: not any(map(alive, family)), seconds=20)
    (record,) = load_records("cifar")
    assert record.status == "interrupted"


@pytest.mark.slow
def test_fairseqs_tools_end_with_the_run(tmp_path):
    process = start("-m", "experiments.transformer", "scale=smoke", "epochs=50", "tracking=none")
    tools = until(lambda: [pid for pid in descendants(process.pid) if "transformer.tools" in arguments(pid)])
    assert all(map(alive, tools))
    until(lambda: list((tmp_path / "runs").glob("transformer/*/*/*/metrics.jsonl")))
    process.kill()
    process.wait(timeout=20)
    assert until(lambda: not any(map(alive, tools)), seconds=20), "they end with it"


def arguments(pid: int) -> str:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout


def test_json_is_whole_after_every_kill():
    process, _, _ = signalled("time.sleep(1000)", signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    (path,) = (record.path / "run.json" for record in load_records("toy"))
    assert json.loads(path.read_text())["status"] == "running"
    assert os.path.exists(path.parent / "config.yaml")
