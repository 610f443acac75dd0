"""wandb mirrors the record, and nothing of it reaches the run. The real wandb, without a network."""

import os
import signal
import subprocess
import time

import pytest

from acprop.runs import load_records, tracking
from acprop.runs.mirror import choose_mode
from tests.runs.test_runs import config, work

KEY = "a" * 40


def mirrored(mode="auto", **names):
    given = {"dataset": "d", "model": "m", "optimizer": "o", **names}
    return config(tracking={"mode": mode, "project": "p", "entity": None}, names=given)


@pytest.fixture(autouse=True)
def own_mirror(monkeypatch):
    """The mirror reads its environment when it starts: each test has its own."""
    monkeypatch.setattr(tracking, "PATIENCE", {**tracking.PATIENCE, "connecting": 1})
    tracking.the_mirror.cache_clear()
    yield
    if tracking.the_mirror.cache_info().currsize:
        tracking.the_mirror(os.getpid()).end()


def outcome(capsys):
    """(status of the only run, what was said about wandb)"""
    (record,) = load_records("toy")
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wandb: ")]
    return record.summary["status"], said


def test_it_mirrors_the_record(capsys):
    work(mirrored("offline"))
    (record,) = load_records("toy")
    (stored,) = record.path.glob("wandb/offline-run-*/run-*.wandb")
    deadline = time.time() + 60  # wandb's own process writes the file, after `finish` has returned
    while b"test/score" not in stored.read_bytes():
        assert time.time() < deadline, stored.read_bytes()
        time.sleep(0.05)
    assert stored.stem == f"run-toy-d-m-o-{record.summary['hash']}-seed0"
    assert outcome(capsys) == ("done", [])


def test_a_name_longer_than_wandbs_tags_is_mirrored(capsys):
    work(mirrored("offline", optimizer="o" * 80))
    assert outcome(capsys) == ("done", [])
    (record,) = load_records("toy")
    assert list(record.path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.parametrize(
    "setting", [{"WANDB_MODE": "bogus"}, {"WANDB_BASE_URL": "not-a-url"}, {"WANDB_SILENT": "maybe"}]
)
def test_what_wandb_refuses_is_one_line_and_the_run_is_done(setting, monkeypatch, capsys):
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    work(mirrored())
    status, (line,) = outcome(capsys)
    assert status == "done"
    assert "the record is complete without it" in line
    assert next(iter(setting.values())) in line


def test_a_key_without_a_network_costs_seconds(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    started = time.time()
    work(mirrored())
    assert time.time() - started < 15
    status, (line,) = outcome(capsys)
    assert status == "done"
    assert "not all is mirrored" in line


@pytest.mark.parametrize("kind", [signal.SIGSTOP, signal.SIGKILL])
def test_a_mirror_that_is_stopped_or_killed_does_not_keep_the_run(kind, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "PATIENCE", dict.fromkeys(tracking.PATIENCE, 1))
    pids = []

    def value(epoch):
        if epoch == 1:
            process = tracking.the_mirror(os.getpid()).process
            process.send_signal(kind)
            pids.append(process.pid)
        return epoch

    assert work(mirrored("offline"), value=value) is not None
    status, (line,) = outcome(capsys)
    assert status == "done"
    assert "no answer in 1 s" in line or "its process is gone" in line
    assert no_more_of(pids[0]), "nothing of wandb outlives the run that it failed"


def test_it_ends_with_a_run_that_is_killed(command, tmp_path):
    code = "import os, signal, time\nfrom acprop.runs import Run, tracking\n"
    code += "from tests.runs.test_tracking import mirrored\n"
    code += "run = Run.open(mirrored('offline')).__enter__(); run.log('test', score=1)\n"
    code += "print(tracking.the_mirror(os.getpid()).process.pid, flush=True); time.sleep(2)\n"
    code += "os.kill(os.getpid(), signal.SIGKILL)"
    done = command("-c", code)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert no_more_of(int(done.stdout.splitlines()[-1])), "wandb's processes outlive the run"


def no_more_of(group: int) -> bool:
    """Whether every process of a group ends within a minute."""
    deadline = time.time() + 60
    while time.time() < deadline:
        states = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True).stdout.split()
        if all(state.startswith("Z") for state in states):
            return True
        time.sleep(0.1)
    return False


def test_auto_is_offline_unless_logged_in(monkeypatch, tmp_path):
    assert choose_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode("auto") == "disabled"
    assert choose_mode("offline") == "offline"


def test_wandbs_own_login_is_recognised(command, tmp_path):
    """What `wandb login` of the installed version writes, wherever that is."""
    login = "from wandb.sdk.lib import wbauth; import wandb; "
    login += f"wbauth.write_netrc_auth(host=wandb.setup().settings.base_url, api_key={KEY!r})"
    assert command("-c", login).returncode == 0
    # not by sys.exit: wandb may wait for a network then, and the run's mirror is a process that is killed if it does
    ask = "import os; from acprop.runs.mirror import choose_mode; print(choose_mode('auto'), flush=True); os._exit(0)"
    done = command("-P", "-c", ask)
    assert done.stdout.split()[-1:] == ["online"], done.stderr
