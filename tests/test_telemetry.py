"""Telemetry against hand-made optimizers whose steps are known."""

import json

import pytest
import torch

from acprop import ACProp
from acprop.runs import Run, load_records
from tests.runs.test_runs import config


def watch(optimizer_of, steps, telemetry, grads=lambda t: torch.ones(4)):
    p = torch.full((4,), 10.0, requires_grad=True)
    optimizer = optimizer_of([p])
    with Run.open(config(telemetry=telemetry, epochs=1)) as run:
        run.register(optimizer=optimizer)
        for _ in run.epochs(1):
            for t in run.batches(range(steps)):
                p.grad = grads(t)
                optimizer.step()
        run.log("test", score=1.0)
    (record,) = load_records("toy")
    lines = [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == "update"]


def test_sgd_moves_by_lr_times_gradient():
    lines = watch(lambda p: torch.optim.SGD(p, lr=0.5), 1, 1, lambda t: torch.tensor([1.0, 1.0, 1.0, 3.0]))
    values = {line["metric"]: line["value"] for line in lines}
    assert values["step_p50"] == pytest.approx(1.0)
    assert values["step_max"] == pytest.approx(3.0)
    after = torch.tensor([9.5, 9.5, 9.5, 8.5])
    assert values["ratio"] == pytest.approx((torch.tensor([0.5, 0.5, 0.5, 1.5]).norm() / after.norm()).item())
    assert "at_floor" not in values


def test_first_hundred_steps_and_then_every_nth():
    lines = watch(lambda p: torch.optim.SGD(p, lr=0.1), 230, 50)
    assert [line["step"] for line in lines if line["metric"] == "ratio"] == [*range(100), 100, 150, 200]


def test_off_by_default():
    assert watch(lambda p: torch.optim.SGD(p, lr=0.1), 5, 0) == []


@pytest.mark.parametrize(
    "optimizer", [lambda p: ACProp(p, eps=1e-8), lambda p: ACProp(p, eps=1e-8, variant="paper"), torch.optim.Adam]
)
def test_dormant_coordinates_are_at_the_floor(optimizer):
    def grads(t):
        return torch.tensor([0.0, 0.0, 0.0, 1.0 + t % 2])

    lines = watch(optimizer, 30, 1, grads)
    assert [line["value"] for line in lines if line["metric"] == "at_floor"][-1] == pytest.approx(0.75)
