"""Table 2 of the paper: top-1 (and, beside it, top-5) of ResNet-18 on ImageNet, as table and curves; a pair for every
data set and scale that has records. Of the paper's numbers two are its own runs; a dagger marks the quoted ones."""

import csv
from pathlib import Path

from acprop.report import PUBLISHED
from acprop.report.records import by_budget
from experiments.images.report import Paper, Study, write_study

TABLE2 = ("sgd", "adam", "adamw", "radam", "adashift", "adabelief", "acprop")


def write_all(tables: bool = True, figures: bool = True) -> list[Path]:
    """Rebuilds Table 2 and its curves from the records; returns the paths without suffix."""
    table2 = Study("table2", "Table 2", TABLE2, {"top1": "top-1", "top5": "top-5"}, published, _note)
    groups = by_budget("imagenet").items()
    return [path for key, records in groups for path in write_study(table2, *key, records, tables, figures)]


def published(dataset: str, scale: str) -> Paper:
    """The paper's top-1, beside the last epoch: which epoch it is of is not published. Only ImageNet as published may
    stand beside it."""
    if dataset != "imagenet" or "own=files" in scale:
        return {}
    with (PUBLISHED / "table2_imagenet.csv").open() as file:
        return {(row["model"], row["optimizer"]): {**row, "last": row["top1"]} for row in csv.DictReader(file)}


def _note(paper: Paper) -> str:
    if not paper:
        return ""
    best = paper["resnet18", "sgd_best_in_literature"]["top1"]
    return f"†: quoted by the paper, not its own run; the best SGD that it quotes has {best}†. "
