"""A killed run goes on as if nothing had happened: real processes, bit for bit, for each kind of agent."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from acprop.runs import load_records
from tests.conftest import ROOT

CELLS = {
    "dqn": ["model=dqn", "dataset=four_rooms", "optimizer=acprop", "steps=800", "eval_every=300", "num_envs=2"],
    "dqn-cartpole": ["model=dqn", "dataset=cartpole", "optimizer=adashift", "steps=800", "eval_every=300"],
    "ppo": ["model=ppo", "dataset=four_rooms", "optimizer=adabelief", "steps=1024", "eval_every=512", "num_envs=1"],
    "sac": ["model=sac", "dataset=pendulum", "optimizer=adam", "steps=500", "eval_every=200"],
}


def flatten(value, path=""):
    if isinstance(value, dict):
        for key, child in value.items():
            yield from flatten(child, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from flatten(child, f"{path}.{index}")
    else:
        yield path, value.numpy().tobytes() if torch.is_tensor(value) else value


def everything(record):
    """Metrics without times, and all that the checkpoint holds but times."""
    lines = [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]
    state = torch.load(record.path / "checkpoint.pt", weights_only=True)
    flat = dict(flatten({"objects": state["objects"], "rng": state["rng"]}))
    # torch itself adds this word to the groups of an optimizer that is loaded
    flat = {key: value for key, value in flat.items() if not key.endswith(".differentiable")}
    return [{**line, "wall_s": 0} for line in lines], flat


def record_in(runs):
    os.environ["ACPROP_RUNS"] = str(runs)
    (record,) = load_records("rl")
    return record


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_killed_and_resumed_equals_uninterrupted(cell, tmp_path):
    arguments = [
        sys.executable, "-m", "experiments.rl", *CELLS[cell], "tuned=none", "scale=smoke", "eval_episodes=5",
        "checkpoint_every_s=0", "tracking=none",
    ]  # fmt: skip
    if cell.startswith("dqn"):
        arguments += ["model.learning_starts=100", "model.buffer_size=500"]  # learns early, and the memory wraps around

    def start(runs):
        environment = {**os.environ, "ACPROP_RUNS": str(tmp_path / runs)}
        return subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    assert start("whole").wait(200) == 0
    whole = record_in(tmp_path / "whole")
    middle = whole.summary["steps"] * 0.6
    process = start("killed")
    deadline = time.time() + 100
    while time.time() < deadline:
        found = list((tmp_path / "killed").glob("rl/*/*/*/checkpoint.pt"))
        if found and torch.load(found[0], weights_only=True)["step"] > middle:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = record_in(tmp_path / "killed")
    assert killed.status == "running"
    assert middle < torch.load(killed.path / "checkpoint.pt", weights_only=True)["step"] < whole.summary["steps"]
    assert start("killed").wait(200) == 0
    resumed = record_in(tmp_path / "killed")
    assert resumed.summary["attempts"] == 2
    (lines, state), (expected_lines, expected_state) = everything(resumed), everything(whole)
    assert lines == expected_lines
    assert state.keys() == expected_state.keys()
    assert [key for key in state if state[key] != expected_state[key]] == []
