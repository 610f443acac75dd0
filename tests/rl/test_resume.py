"""A killed run goes on as if nothing had happened, bit for bit: the agents that scripts/chaos.py leaves out."""

import json
import signal

import pytest
import torch

from acprop.runs import load_records
from experiments.rl.train import train

CELLS = {
    "ppo": ["dataset=cartpole", "optimizer=adabelief", "steps=1024", "eval_every=512"],
    "sac": ["dataset=pendulum", "optimizer=adashift", "steps=400", "eval_every=150"],
}  # fmt: skip


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


def record_in(runs, monkeypatch):
    monkeypatch.setenv("ACPROP_RUNS", str(runs))
    (record,) = load_records("rl")
    return record


KILL = """
import os, runpy, signal, sys
from acprop.runs import Run

def save_and_die(run):
    if run.step >= {step}:
        run._save()
        os.kill(os.getpid(), signal.SIGKILL)

Run._pause_point = save_and_die
runpy.run_module("experiments.rl", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("model", CELLS)
def test_killed_and_resumed_equals_uninterrupted(model, tmp_path, command, configure, monkeypatch):
    settings = [f"model={model}", *CELLS[model], "tuned=none", "scale=smoke", "eval_episodes=5", "tracking=none"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    monkeypatch.setenv("ACPROP_RUNS", str(whole))
    train(configure("rl", *settings))
    expected = record_in(whole, monkeypatch)

    kill = KILL.format(step=0.55 * expected.summary["steps"])
    done = command("-c", kill, *settings, ACPROP_RUNS=str(killed))
    assert done.returncode == -signal.SIGKILL, done.stderr
    record = record_in(killed, monkeypatch)
    assert record.status == "running"
    stopped = torch.load(record.path / "checkpoint.pt", weights_only=True)["step"]
    assert 0.5 < stopped / expected.summary["steps"] < 0.8

    train(configure("rl", *settings))
    resumed = record_in(killed, monkeypatch)
    assert resumed.summary["attempts"] == 2
    (lines, state), (expected_lines, expected_state) = everything(resumed), everything(expected)
    assert lines == expected_lines
    assert state.keys() == expected_state.keys()
    assert [key for key in state if state[key] != expected_state[key]] == []
