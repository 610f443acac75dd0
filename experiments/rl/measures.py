"""A run is measured by its evaluation episodes alone: the last mean return; the mean return over training (area under
the curve over its length); the first step at which 90 % of the optimum was reached."""

import math
from collections.abc import Sequence

from acprop.report.cells import Measure
from acprop.runs.record import Record
from experiments.rl.score import mean_over_training

NEAR = 0.9  # of the optimum


def curve(record: Record) -> list[tuple[float, float]]:
    return record.curve("eval", "return", over="step")


def last_return(record: Record) -> float:
    return record.summary["final"]["eval/return"]


def mean_return(record: Record) -> float:
    return mean_over_training(curve(record))


def steps_to_near_optimum(record: Record) -> float:
    """Infinite if it was never reached."""
    target = NEAR * record.summary["optimum"]
    return next((step for step, value in curve(record) if value >= target), math.inf)


LAST = Measure("last return", "last_return", last_return, digits=3)
MEAN = Measure("mean return", "mean_return", mean_return, digits=3)
POLICY = Measure(
    "learnt policy, exact", "learnt_policy_exact", lambda record: record.summary["final"].get("policy/return"), digits=3
)  # fmt: skip


def done(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.status == "done"]
