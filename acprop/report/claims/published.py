"""The published numbers of results/paper as cells, each with where the record that may stand beside it would be."""

import csv
from dataclasses import dataclass

from acprop.report import PUBLISHED

RAN = {"yes": "authors", "no": "quoted"}  # fig6_cifar10.csv says it so
BEST = "_best_in_literature"
SEEDS = "0,1,2,3,4"  # a ranking needs five runs a side


@dataclass(frozen=True)
class Cell:
    """One published number. `metric` is a key of rules.METRICS; `beside` tells what else is published for the cell; `n`
    is of how many runs it is the mean, None where nobody says."""

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
    beside: str = ""
    n: int | None = None

    @property
    def id(self) -> str:
        return f"{self.part}/{self.row}/{self.optimizer}"

    @property
    def own(self) -> str:
        """The optimizer that we run for it: the best SGD in the literature is compared with ours."""
        return self.optimizer.removesuffix(BEST)

    @property
    def command(self) -> str:
        """The make target that runs it."""
        target = {
            "cifar": f"{self.dataset}-{self.model}", "gan": f"{self.dataset}-{self.model}", "imagenet": "imagenet",
            "transformer": f"{self.dataset}-transformer",
        }[self.task]  # fmt: skip
        # the paper names no settings of AvaGrad, and none of this net
        untuned = " ARGS=tuned=none" if self.optimizer == "avagrad" or self.model == "wrn28_10" else ""
        return f"make {target} OPTIMIZER={self.own} SEEDS={SEEDS}{untuned}"


def cells() -> list[Cell]:
    """Every cell of Fig 6 and Tables 2 to 5, in the paper's order of tables."""
    found = []
    for r in _rows("fig6_cifar10"):
        found.append(
            Cell(
                "fig6", r["model"], "cifar", "cifar10", r["model"], r["optimizer"], "best_top1", float(r["best"]), None,
                r["source"], RAN[r["authors_ran"]], f"last epoch {r['last']}", n=1,  # a curve file is of one run
            )
        )  # fmt: skip
    for r in _rows("table2_imagenet"):
        found.append(_cell("table2", r["model"], "imagenet", "imagenet", r["model"], "top1", r["top1"], r))
    for r in _rows("table3_transformer"):
        model = "transformer_iwslt"
        found.append(_cell("table3", r["dataset"], "transformer", r["dataset"], model, "bleu", r["bleu"], r))
    for r in _rows("table4_gan"):
        found.append(_cell("table4", r["model"], "gan", "cifar10", r["model"], "fid", r["fid"], r))
    metrics = {"cifar": "error", "transformer": "bleu", "gan": "fid"}
    for r in _rows("table5_avagrad"):
        row = f"{r['dataset']}-{r['model']}"
        found.append(_cell("table5", row, r["task"], r["dataset"], r["model"], metrics[r["task"]], r["value"], r))
    return found


def _cell(part: str, row: str, task: str, dataset: str, model: str, metric: str, value: str, r: dict[str, str]) -> Cell:
    std = float(r["std"]) if r.get("std") else None
    return Cell(
        part, row, task, dataset, model, r["optimizer"], metric, float(value), std, r["source"], r["run_by"]
    )  # fmt: skip


def _rows(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))
