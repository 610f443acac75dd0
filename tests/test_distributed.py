"""Two processes under the real torchrun (gloo) beside one, on the runner's own command line."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from importlib import import_module

import pytest
import torch

from acprop.runs import UsageError, load_records
from experiments.images.data import IGNORED, digits, share_of
from tests.conftest import ROOT

PLAIN = ("model=vgg11", "model._target_=tests.nets.plain")  # neither batch norm nor dropout: n processes compute as one
CELL = ("experiments.cifar", *PLAIN, "scale=smoke", "epochs=2", "batch_size=31", "tracking=none")


def two(*arguments: str) -> list[str]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", *arguments]


def record(monkeypatch, folder, task="cifar"):
    monkeypatch.setenv("ACPROP_RUNS", str(folder))
    (found,) = load_records(task)
    return found


def losses(found):
    return [value for split in ("train", "test") for _, value in found.curve(split, "loss")]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    environment = {**os.environ, "ACPROP_RUNS": str(folder), "ACPROP_RESULTS": str(folder / "results")}
    subprocess.run([sys.executable, "-m", *CELL], cwd=ROOT, env=environment, check=True, capture_output=True)
    return folder


@pytest.mark.xdist_group("single")
@pytest.mark.slow
def test_two_processes_compute_what_one_does(command, single, tmp_path, monkeypatch):
    done = command(*two(*CELL))  # 1,437 images in batches of 31: uneven shares, the last batch too
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 1, "rank 0 alone speaks"
    one, both = record(monkeypatch, single), record(monkeypatch, tmp_path / "runs")
    assert one.summary["hash"] == both.summary["hash"]
    assert (one.summary["processes"], both.summary["processes"]) == (1, 2)
    assert losses(both) == pytest.approx(losses(one), rel=1e-5)
    assert both.summary["final"]["test/top1"] == one.summary["final"]["test/top1"]
    states = [torch.load(r.path / "checkpoint.pt", weights_only=True) for r in (one, both)]
    for a, b in zip(*(state["objects"]["model"].values() for state in states), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert len(states[1]["rng"]) == 2


@pytest.mark.xdist_group("single")
@pytest.mark.slow
def test_interrupted_on_two_processes_it_resumes_on_one(command, single, tmp_path, monkeypatch):
    signal_mid_epoch(tmp_path / "runs", signal.SIGTERM)
    half = record(monkeypatch, tmp_path / "runs")
    assert half.status == "interrupted"
    assert 0 < half.summary["steps"] < 2 * 47
    done = command("-m", *CELL)
    assert done.returncode == 0, done.stderr
    whole, one = record(monkeypatch, tmp_path / "runs"), record(monkeypatch, single)
    assert whole.summary["attempts"] == 2
    assert whole.status == "done"
    assert losses(whole) == pytest.approx(losses(one), rel=1e-5)


@pytest.mark.slow
def test_a_lost_process_ends_the_other_and_the_record_says_so(tmp_path, monkeypatch):
    code = signal_mid_epoch(tmp_path / "runs", signal.SIGKILL)
    assert code != 0
    found = record(monkeypatch, tmp_path / "runs")
    if found.status == "failed":  # the broken connection reached rank 0 before torchrun's SIGTERM
        assert found.summary["error"].startswith("another process of the group is gone; ")
    else:
        assert found.status == "interrupted"


@pytest.mark.slow
def test_a_process_that_hangs_does_not_hang_the_record(tmp_path, monkeypatch):
    process, ranks = start_and_wait_for_ten_steps(tmp_path / "runs")
    os.kill(ranks[1], signal.SIGSTOP)  # rank 0 now waits for it, where no Python runs
    time.sleep(1)
    os.kill(ranks[0], signal.SIGTERM)
    deadline = time.time() + 180
    try:
        while record(monkeypatch, tmp_path / "runs").status == "running" and time.time() < deadline:
            time.sleep(0.5)
        found = record(monkeypatch, tmp_path / "runs")
        assert found.status == "interrupted"
        assert found.summary["error"].endswith("a process is lost")
    finally:
        for pid in ranks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(timeout=120)


def start_and_wait_for_ten_steps(runs) -> tuple[subprocess.Popen, list[int]]:
    """The cell on two processes in the midst of its first epoch; torchrun's process and those of the two ranks."""
    process = subprocess.Popen(
        [sys.executable, *two(*CELL, "checkpoint_every_s=0")], cwd=ROOT, env={**os.environ, "ACPROP_RUNS": str(runs)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.time() + 180
    while time.time() < deadline:
        saved = list(runs.glob("cifar/*/*/*/checkpoint.pt"))
        if saved and torch.load(saved[0], weights_only=True)["step"] > 10:
            break
        time.sleep(0.005)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return process, sorted(map(int, children.stdout.split()))


def signal_mid_epoch(runs, kind) -> int:
    """The exit code of torchrun after rank 1 got the signal."""
    process, ranks = start_and_wait_for_ten_steps(runs)
    os.kill(ranks[1], kind)
    try:
        return process.wait(timeout=120)
    finally:
        process.kill()


@pytest.mark.parametrize("task", ["gan", "rl", "theory"])
def test_other_tasks_refuse_several_processes(task, configure, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    train = import_module(f"experiments.{task}.__main__").run
    with pytest.raises(UsageError) as error:
        train(configure(task))
    assert str(error.value) == f"torchrun --nproc-per-node='2' is not possible: {task} trains in one process"


@pytest.mark.parametrize("world", [2, 3, 7])
def test_shares_are_the_batch_once_and_none_is_empty(world):
    data = digits().first(23).to(torch.device("cpu"))
    whole = list(data.train_batches(0, 0, 10))
    ranks = [list(data.train_batches(0, 0, 10, rank=rank, world=world)) for rank in range(world)]
    for number, (images, labels) in enumerate(whole):
        shares = [batches[number] for batches in ranks]
        assert all(len(x) == len(y) > 0 for x, y in shares)
        kept = [(x[y != IGNORED], y[y != IGNORED]) for x, y in shares]
        assert sorted(torch.cat([y for _, y in kept]).tolist()) == sorted(labels.tolist())
        assert torch.cat([x for x, _ in kept]).sum().item() == pytest.approx(images.sum().item(), rel=1e-5)
    tested = [y for rank in range(world) for _, y in data.test_batches(rank=rank, world=world)]
    assert sorted(torch.cat(tested).tolist()) == sorted(data.test_labels.tolist())


def test_a_batch_smaller_than_the_group_gives_some_an_image_that_does_not_count():
    index, counts = share_of(torch.tensor([5]), rank=1, world=2)
    assert index.tolist() == [5]
    assert counts is False
