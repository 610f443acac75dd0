"""Table 2 of the paper: top-1 (and, beside it, top-5) of ResNet-18 on ImageNet, as table and curves. Of the paper's
numbers two are its own runs; a dagger marks the quoted ones."""

import csv
from collections.abc import Iterator

from acprop.report import PUBLISHED
from acprop.report.artefacts import Artefact
from acprop.report.records import by_budget
from acprop.runs.conf import roster
from acprop.runs.record import Record
from experiments.images.report import Paper, Study
from experiments.images.report import artefacts as of_study


def artefacts(records: list[Record]) -> Iterator[Artefact]:
    table2 = Study("table2", "Table 2", roster("table2"), {"top1": "top-1", "top5": "top-5"}, published, _note)
    for (dataset, scale), group in by_budget(records).items():
        if tested := [record for record in group if not record.config.get("held_out")]:
            yield from of_study(table2, dataset, scale, tested)


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
