"""Fig 6 of the paper: test accuracy of the optimizers on the three nets, as table and curves, a pair for every data
set and scale that has records. The paper draws one run a curve; here a band is the range over seeds. `write_study` does
the same for any task that classifies images."""

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from acprop.report import PUBLISHED, results_root
from acprop.report.figures import draw_runs, legend_below, subplots
from acprop.report.records import (
    Cells,
    budgets_text,
    by_budget,
    by_cell,
    cell_text,
    counts,
    file_name,
    labels_of,
    models_of,
    provenance,
    row_label,
    summary_fields,
)  # fmt: skip
from acprop.report.stats import separate_winner, summarize
from acprop.report.style import DATASETS, MODELS, look, order
from acprop.report.tables import write_table
from acprop.runs.identity import data_root
from acprop.runs.record import FINISHED, Record

CURVES_FILE = "published_curves.csv"  # scripts/import_published_curves.py writes it
FIG6 = ("sgd", "adam", "radam", "adamw", "adashift", "adabelief", "acprop")


Paper = dict[tuple[str, str], dict[str, Any]]  # (model, optimizer) -> the paper's numbers


class Study(NamedTuple):
    """What tells one task's tables and figures from another's."""

    stem: str  # of the file names
    title: str
    optimizers: tuple[str, ...]  # rows that are there even if nothing was run
    metrics: dict[str, str]  # metric of split `test` -> its name; the first selects the best epoch
    published: Callable[[str, str], Paper]  # of a data set and scale
    note: Callable[[Paper], str] = lambda paper: ""  # said in the caption of the paper's numbers


def write_all(tables: bool = True, figures: bool = True) -> list[Path]:
    """Rebuilds every CNN table and figure from the records; returns the paths without suffix."""
    from experiments.cifar import sweeps as cnn_sweeps

    fig6 = Study("fig6", "Fig 6", FIG6, {"top1": "top-1"}, lambda dataset, scale: published(dataset))
    written = []
    for (dataset, scale), records in by_budget("cifar").items():
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[record.config["figure"]].append(record)
        for figure, group in groups.items():
            if figure == "fig6":
                written += write_study(fig6, dataset, scale, group, tables, figures)
                continue
            name = file_name(figure, dataset, scale)
            if tables:
                written.append(results_root() / "tables" / name)
                cnn_sweeps.table(written[-1], group)
            if figures and figure != "tuning":
                written.append(results_root() / "figures" / name)
                cnn_sweeps.figure(written[-1], group)
    return written


def write_study(
    study: Study, dataset: str, scale: str, records: list[Record], tables: bool, figures: bool
) -> list[Path]:
    """The table and the figure of one data set and scale; returns the paths without suffix."""
    name, cells, written = file_name(study.stem, dataset, scale), by_cell(records), []
    if tables:
        written.append(results_root() / "tables" / name)
        _table(study, written[-1], dataset, scale, cells)
    if figures:
        written.append(results_root() / "figures" / name)
        _figure(study, written[-1], dataset, scale, cells)
    return written


def published(dataset: str) -> Paper:
    """The paper's numbers, read off the authors' curve files; CIFAR-10 alone has any."""
    if dataset != "cifar10":
        return {}
    with (PUBLISHED / "fig6_cifar10.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def _values(study: Study, records: list[Record], metric: str, which: str) -> list[float]:
    """A metric of the finished runs: of the last epoch, or of the best (picked on the test set by the study's first
    metric, as the paper's curves are read)."""
    done = [record for record in records if record.status == "done"]
    if which == "last":
        return [record.summary["final"][f"test/{metric}"] for record in done]
    if metric == next(iter(study.metrics)):
        return [record.summary["best"]["value"] for record in done]
    return [dict(record.curve("test", metric))[record.summary["best"]["epoch"]] for record in done]


def _table(study: Study, path: Path, dataset: str, scale: str, cells: Cells) -> None:
    models, labels = models_of(cells), labels_of(cells, study.optimizers)
    paper = study.published(dataset, scale)
    header = ["optimizer"]
    columns: list[list[str]] = []
    for model in models:
        for metric, which in _shown(study):
            name = f" {study.metrics[metric]}" if len(study.metrics) > 1 else ""
            header.append(f"{MODELS[model]}{name} {which}")
            summaries = [summarize(_values(study, cells.get((model, label), []), metric, which)) for label in labels]
            winner = separate_winner(summaries)
            column = []
            for index, label in enumerate(labels):
                text = cell_text(cells.get((model, label)), summaries[index])
                if index == winner:
                    text = f"**{text}**"
                if number := _reference(study, paper, model, label, metric, which):
                    quoted = "†" if paper[model, label].get("run_by") == "quoted" else ""
                    text += f" / paper {float(number):.2f}{quoted}"
                column.append(text)
            columns.append(column)
    rows = [[row_label(label), *(column[index] for column in columns)] for index, label in enumerate(labels)]
    long = _long(study, dataset, scale, models, labels, cells, paper)
    write_table(path, _caption(study, dataset, scale, cells, paper), header, rows, long)


def _shown(study: Study) -> list[tuple[str, str]]:
    return [(metric, which) for metric in study.metrics for which in ("last", "best")]


def _reference(study: Study, paper: Paper, model: str, label: str, metric: str, which: str) -> str:
    """The paper gives the first metric alone."""
    return paper.get((model, label), {}).get(which, "") if metric == next(iter(study.metrics)) else ""


def budget(config: dict[str, Any]) -> str:
    """What an image classifier was trained with, for a caption."""
    width = f", width {config['width']}" if "width" in config else ""
    images = f", {config['train_size']:,} training images" if config.get("train_size") else ""
    return f"{config['epochs']} epochs, batch {config['batch_size']}{width}{images}, {config['precision']}"


def _caption(study: Study, dataset: str, scale: str, cells: Cells, paper: Paper) -> str:
    records = [record for group in cells.values() for record in group]
    data, metrics = DATASETS.get(dataset, dataset), " and ".join(study.metrics.values())
    return (
        f"{study.title} on {data}: test {metrics} in %, mean ± std (n) and 95 % interval over seeds; last epoch, and "
        f"best epoch picked on the test set. Scale: {scale} ({budgets_text(cells, budget)}). Bold: interval apart from "
        f"all others. {study.note(paper)}{provenance(records)}"
    )


def _long(
    study: Study, dataset: str, scale: str, models: list[str], labels: list[str], cells: Cells, paper: Paper
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for model in models:
        for label in labels:
            records = cells.get((model, label), [])
            row: dict[str, object] = {"dataset": dataset, "scale": scale, "model": model, "optimizer": label}
            row |= counts(records)
            for metric, which in _shown(study):
                first = metric == next(iter(study.metrics))
                name = which if first else f"{metric}_{which}"
                row |= summary_fields(name, summarize(_values(study, records, metric, which)))
                if first:
                    row[f"paper_{which}"] = _reference(study, paper, model, label, metric, which)
            rows.append(row)
    return rows


def _figure(study: Study, path: Path, dataset: str, scale: str, cells: Cells) -> None:
    models = models_of(cells)
    panels = [(model, metric) for model in models for metric in study.metrics]
    paper = study.published(dataset, scale)
    overlay = published_curves(dataset)
    with subplots(path, 1, len(panels), figsize=(3.3 * len(panels), 2.9)) as (figure, axes):
        for axis, (model, metric) in zip(axes[0], panels, strict=True):
            own = {label: records for (m, label), records in cells.items() if m == model}
            _curves(axis, own, metric)
            if metric == next(iter(study.metrics)):
                _mark_paper(axis, model, own, paper, overlay)
            axis.set(title=MODELS[model], xlabel="epoch", ylabel=f"test {study.metrics[metric]} (%)")
        if len(study.metrics) == 1:
            for axis in axes[0][1:]:
                axis.set_ylabel("")
        legend_below(figure, axes)
        note = ""
        if any("best_epoch" in row for row in paper.values()):
            note = "; markers: paper's best (triangle) and last (square)" + ("; thin: paper" if overlay else "")
        elif paper:
            note = "; thin: paper"
        figure.suptitle(f"{DATASETS.get(dataset, dataset)}, scale {scale}{note}", fontsize=9)


def _curves(axis: Any, cells: dict[str, list[Record]], metric: str) -> None:
    """Mean over seeds and their range, an optimizer a line."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    tops: dict[str, float] = {}
    for label in sorted(cells, key=lambda label: order(label.split(" ")[0])):
        curves = [record.curve("test", metric) for record in cells[label] if record.status in FINISHED]
        means = draw_runs(axis, curves, look(label.split(" ")[0]), row_label(label))
        if len(means):
            tops[row_label(label)] = means.max()
    if tops:
        # what divides the optimizers is near the top; a run that never learns is named below it
        bottom = max(0.0, min(90.0, float(np.median(list(tops.values()))) - 15))
        axis.set_ylim(bottom, min(100.5, max(tops.values()) + 2))
        if below := [name for name, top in tops.items() if top < bottom]:
            axis.text(0.98, 0.02, "below: " + ", ".join(below), transform=axis.transAxes, ha="right", fontsize=7)


def _mark_paper(
    axis: Any, model: str, cells: dict[str, list[Record]], paper: Paper,
    overlay: dict[tuple[str, str], list[tuple[float, float]]],
) -> None:  # fmt: skip
    for label in cells:
        color = look(label.split(" ")[0]).color
        if curve := overlay.get((model, label)):
            axis.plot(*zip(*curve, strict=True), color=color, lw=0.5, alpha=0.6)
        reference = paper.get((model, label), {})
        if "best_epoch" in reference:
            axis.plot(float(reference["best_epoch"]), float(reference["best"]), "^", color=color, ms=4)
            axis.plot(200, float(reference["last"]), "s", color=color, ms=3)
        elif reference:
            axis.axhline(float(reference["last"]), color=color, lw=0.5, alpha=0.6)


def published_curves(dataset: str) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(model, optimizer) -> (epoch, test top-1), if the user imported the authors' curve files."""
    path = data_root() / CURVES_FILE
    if dataset != "cifar10" or not path.exists():
        return {}
    curves: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            curves[row["model"], row["optimizer"]].append((float(row["epoch"]), float(row["test_top1"])))
    return dict(curves)
