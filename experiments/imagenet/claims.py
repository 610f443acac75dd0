"""The paper's numbers on ImageNet, Table 2."""

from collections.abc import Iterator

from acprop.report.claims.published import Cell, cell, rows
from experiments.images.claims import TOP1

METRICS = {"top1": TOP1}


def cells() -> Iterator[Cell]:
    for r in rows("table2_imagenet"):
        yield cell("table2", r["model"], "imagenet", "imagenet", r["model"], "top1", r["top1"], r, "imagenet")
