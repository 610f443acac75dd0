"""The published numbers of results/paper as cells, each with where the record that may stand beside it would be."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from acprop.report import PUBLISHED, tasks
from acprop.report.claims.rules import Metric

BEST = "_best_in_literature"
SEEDS = "0,1,2,3,4"  # a ranking needs five runs a side


@dataclass(frozen=True)
class Cell:
    """One published number. `metric` is a key of the task's METRICS; `target` the make target that runs it, `untuned`
    if no settings are published; `beside` tells what else is published for the cell; `n` is of how many runs it is the
    mean, None where nobody says; `where` how its row is called, by default its net and data set."""

    part: str
    row: str
    task: str
    dataset: str
    model: str
    optimizer: str
    metric: str
    value: float
    std: float | None
    source: str
    run_by: str
    target: str
    beside: str = ""
    n: int | None = None
    where: str = ""
    untuned: bool = False

    @property
    def id(self) -> str:
        return f"{self.part}/{self.row}/{self.optimizer}"

    @property
    def own(self) -> str:
        """The optimizer that we run for it: the best SGD in the literature is compared with ours."""
        return self.optimizer.removesuffix(BEST)

    @property
    def command(self) -> str:
        """What runs it."""
        untuned = " ARGS=tuned=none" if self.untuned else ""
        return f"make {self.target} OPTIMIZER={self.own} SEEDS={SEEDS}{untuned}"


def cells() -> list[Cell]:
    """Every published number, task by task."""
    return [cell for module in tasks.claims().values() if hasattr(module, "cells") for cell in module.cells()]


def metric_of(name: str) -> Metric:
    """One of the tasks' METRICS."""
    return next(module.METRICS[name] for module in tasks.claims().values() if name in getattr(module, "METRICS", {}))


# -- for the tasks that list them ------------------------------------------------------------------------------------


def rows(name: str) -> list[dict[str, str]]:
    """results/paper/<name>.csv."""
    with (PUBLISHED / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def cell(
    part: str, row: str, task: str, dataset: str, model: str, metric: str, value: str, r: dict[str, str], target: str,
    where: str = "", untuned: bool = False,
) -> Cell:  # fmt: skip
    """A number of a table whose rows say std, source and run_by."""
    std = float(r["std"]) if r.get("std") else None
    return Cell(
        part, row, task, dataset, model, r["optimizer"], metric, float(value), std, r["source"], r["run_by"], target,
        where=where, untuned=untuned,
    )  # fmt: skip


def of_table5(task: str, metric: str, target: Callable[[dict[str, str]], str], untuned: bool = False) -> Iterator[Cell]:
    """A task's numbers of Table 5, AvaGrad beside ACProp; the paper names no settings of AvaGrad."""
    for r in rows("table5_avagrad"):
        if r["task"] == task:
            row = f"{r['dataset']}-{r['model']}"
            yield cell(
                "table5", row, task, r["dataset"], r["model"], metric, r["value"], r, target(r),
                untuned=untuned or r["optimizer"] == "avagrad",
            )  # fmt: skip
