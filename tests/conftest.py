"""Every test works in folders of its own, without network, login or GPU, and on one thread."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch loads

import signal
import subprocess
import sys
from collections import defaultdict
from itertools import count
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from acprop.runs.compose import composed

ROOT = Path(__file__).resolve().parents[1]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell's `&`: what tests start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Long ones wait for processes, those of one file for the same: so they come one of each file in turn, with short
    ones between them that keep the cores busy, and short ones alone at the end, so that no worker is left with a long
    one."""
    before = defaultdict(count)
    turn = {item: next(before[item.path]) for item in items if item.get_closest_marker("slow")}
    place = {item: 0.9 * number / len(turn) for number, item in enumerate(sorted(turn, key=turn.__getitem__))}
    short = [item for item in items if item not in turn]
    place |= {item: number / len(short) for number, item in enumerate(short)}
    items.sort(key=place.__getitem__)


@pytest.fixture
def tmp_path(tmp_path):
    """pytest's, in a folder of a name that few tools expect (no colon: it is PATH's)."""
    folder = tmp_path / "a b,c=d"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    for name, folder in (("RUNS", "runs"), ("RESULTS", "results"), ("RECORDS", "records"), ("DATA", "data")):
        monkeypatch.setenv(f"ACPROP_{name}", str(tmp_path / folder))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "MAKEFLAGS", "MAKELEVEL"):  # a test's `make` is not part of `make test`
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default: beside other tests its workers stand still
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a download fails at once, whatever the machine
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def configure():
    """configure("cifar", "model=vgg11", ...) -> the config that the command line would compose."""

    yield composed
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


@pytest.fixture
def command():
    """command("-m", "experiments.cifar", ...) -> a finished process of this Python, run from the repository."""

    def run(*arguments: str, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment},
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    return run
