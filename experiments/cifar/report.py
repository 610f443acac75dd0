"""Fig 6 of the paper, test accuracy of the optimizers on the three nets; Fig 5c, d and Fig 7, many settings; and what
tuning chose by. Of which of them a run is a part, its settings say."""

import csv
from collections import defaultdict
from collections.abc import Iterator

from acprop.report import PUBLISHED, comparisons, tuning
from acprop.report.artefacts import OTHER, Artefact
from acprop.report.records import by_budget, by_cell, file_name
from acprop.report.settings import Cell, Setting, cell_settings, choices, in_grid, is_tuned, of_optimizer, tunes
from acprop.report.style import dataset_name
from acprop.runs.conf import protocols, roster
from acprop.runs.identity import data_root
from acprop.runs.record import Record
from experiments.cifar import sweeps
from experiments.images.report import Overlay, Paper, Study, budget
from experiments.images.report import artefacts as of_study

SCORE = comparisons.Score("test top-1 (%)", lambda r: r.summary["final"]["test/top1"], True, ("test", "top1"))
HELD_OUT = comparisons.Score(
    "held-out top-1 (%)", lambda r: r.summary["final"]["validation/top1"], True, ("validation", "top1")
)  # fmt: skip
CURVES_FILE = "published_curves.csv"  # scripts/import_published_curves.py writes it


def artefacts(records: list[Record]) -> Iterator[Artefact]:
    fig6 = Study(
        "fig6", "Fig 6", roster("fig6"), {"top1": "top-1"}, lambda dataset, scale: published(dataset),
        overlay=published_curves,
    )  # fmt: skip
    grids = [name for name, protocol in protocols().items() if protocol["task"] == "cifar" and not protocol["tuning"]]
    chosen = choices(records, lambda record: record.summary["final"].get("validation/top1"))
    for (dataset, scale), group in by_budget(records).items():
        tried = [record for record in group if tunes(record)]
        reported = [record for record in group if not tunes(record)]
        swept = {name: _swept(name, reported) for name in grids}
        of_sweeps = {record.folder for found in swept.values() for record in found}
        main = [record for record in reported if _is_of_fig6(record, chosen, of_sweeps)]
        what = f"{dataset_name(dataset)}, scale {scale}"
        if main:
            yield from of_study(fig6, dataset, scale, main)
            name = file_name("fig6", dataset, scale)
            yield from comparisons.of_cells(name, "fig6", f"Fig 6 on {what}", by_cell(main), SCORE)
        if both := comparisons.one_for_all(
            file_name("one_for_all", dataset, scale), "fig6", f"Fig 6 on {what}", reported, SCORE
        ):
            yield both
        for name, found in swept.items():
            if found:
                yield from sweeps.artefacts(name, dataset, scale, found)
                stem, title = file_name(f"{name}_settings", dataset, scale), sweeps.TITLES.get(name, name)
                part = protocols()[name].get("part", OTHER)
                if over := comparisons.of_settings(stem, part, f"{title} on {what}", found, SCORE):
                    yield over
        if tried:
            names = file_name("tuning", dataset, scale), file_name("tuning_settings", dataset, scale)
            yield from tuning.artefacts(
                names, "fig6", f"Fig 6 on {dataset_name(dataset)}", tried, records, HELD_OUT, budget
            )


def _swept(name: str, records: list[Record]) -> list[Record]:
    """The runs of a sweep of many settings; none if no optimizer ran with several."""
    found = [record for record in records if in_grid(name, record)]
    cells = {(record.summary["model"], record.summary["optimizer"], record.hash) for record in found}
    return found if len(cells) > len({cell[:2] for cell in cells}) else []


def _is_of_fig6(record: Record, chosen: dict[Cell, Setting], of_sweeps: set[str]) -> bool:
    """The setting that tuning chose for the cell; where nothing was tuned, the cell's published or borrowed one, if it
    has any; and whatever else was run, but for the many settings of a sweep."""
    s = record.summary
    choice = chosen.get((s["dataset"], record.config["scale"]["name"], s["model"], s["optimizer"]))
    if choice is not None:
        return of_optimizer(record) == choice
    return record.folder not in of_sweeps or (cell_settings(record) is not None and is_tuned(record))


def published(dataset: str) -> Paper:
    """The paper's numbers, read off the authors' curve files; CIFAR-10 alone has any."""
    if dataset != "cifar10":
        return {}
    with (PUBLISHED / "fig6_cifar10.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def published_curves(dataset: str) -> Overlay:
    """(model, optimizer) -> (epoch, test top-1), if the user imported the authors' curve files."""
    path = data_root() / CURVES_FILE
    if dataset != "cifar10" or not path.exists():
        return {}
    curves: Overlay = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            curves[row["model"], row["optimizer"]].append((float(row["epoch"]), float(row["test_top1"])))
    return dict(curves)
