"""Sweeps over an optimizer's settings in which every setting is a result."""

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any

from acprop.report.again import again
from acprop.report.artefacts import OTHER, Artefact, Cell, figure, table
from acprop.report.cells import Measure, column, fields
from acprop.report.figures import legend_below, subplots
from acprop.report.records import (
    budgets_text,
    by_cell,
    file_name,
    labels_of,
    models_of,
    provenance,
    row_label,
    settings_told,
)
from acprop.report.stats import PERCENT
from acprop.report.style import dataset_name, look, model_name, order
from acprop.runs.conf import protocols
from acprop.runs.record import FINISHED, Record
from experiments.images.report import budget

TITLES = {"fig7": "Fig 7", "fig5cd": "Fig 5c, d", "robustness": "Fig 5c, d and 7"}
TEST = Measure("", "test/top1", lambda record: record.summary["final"].get("test/top1"), None, bounds=PERCENT)
Points = dict[tuple[str, str], dict[tuple[float, float], list[float]]]  # (model, optimizer) -> (lr, eps) -> top-1


def artefacts(name: str, dataset: str, scale: str, records: list[Record]) -> Iterator[Artefact]:
    """A table and a figure of a sweep in which every setting is reported."""
    part, where = protocols()[name].get("part", OTHER), f"{TITLES.get(name, name)} on {dataset_name(dataset)}"
    yield _table(file_name(name, dataset, scale), part, where, scale, records)
    shown = f"{where}, scale {scale}: test top-1 of the last epoch (%), a diverged run counts 0"
    yield figure(file_name(name, dataset, scale), part, shown, records, lambda: _draw(shown, records))


def _table(name: str, part: str, where: str, scale: str, records: list[Record]) -> Artefact:
    cells = by_cell(records)
    models, labels = models_of(cells), labels_of(cells)
    columns, long = [], []
    for model in models:
        groups = [cells.get((model, label), []) for label in labels]
        columns.append(column(groups, TEST))
        for label, group in zip(labels, groups, strict=True):
            settings = group[0].config["optimizer"] if group else {}
            lead = {"model": model, "optimizer": label.split(" ")[0], "lr": settings.get("lr", "")}
            long.append({**lead, "eps": settings.get("eps", ""), **fields(group, [TEST])})
    rows = [[Cell(row_label(label)), *(cells[index] for cells in columns)] for index, label in enumerate(labels)]
    caption = (
        f"{where}: test top-1 in % of the last epoch, mean ± std (n) and 95 % interval over seeds. Scale: {scale} "
        f"({budgets_text(cells, budget)}).{settings_told(records)} {again(records)}{provenance(records)}"
    )
    return table(name, part, caption, records, ["optimizer", *map(model_name, models)], rows, long)


def _draw(title: str, records: list[Record]) -> Any:
    """Last test top-1 over the settings, how much the choice matters: over lr and eps as a map for each optimizer, or,
    where eps stayed the same, over lr as lines. A run that diverged counts 0."""
    points: Points = defaultdict(lambda: defaultdict(list))
    for record in (record for record in records if record.status in FINISHED):
        s, settings = record.summary, record.config["optimizer"]
        value = s["final"]["test/top1"] if record.status == "done" else 0.0
        points[s["model"], s["optimizer"]][settings["lr"], settings.get("eps", 0.0)].append(value)
    several_eps = any(len({eps for _, eps in settings}) > 1 for settings in points.values())
    return (_maps if several_eps else _lines)(title, points)


def _optimizers(points: Points) -> list[str]:
    return sorted({optimizer for _, optimizer in points}, key=order)


def _maps(title: str, points: Points) -> Any:
    """Rows: models; columns: optimizers. Colours from 0 to 100 %, the numbers written in."""
    models, optimizers = models_of(points), _optimizers(points)
    settings = {setting for cell in points.values() for setting in cell}
    rates, every_eps = (sorted({setting[axis] for setting in settings}) for axis in (0, 1))
    size = (max(6.6, 0.5 * len(rates) * len(optimizers)), 0.9 + max(1.2, 0.25 * len(every_eps)) * len(models))
    canvas, axes = subplots(len(models), len(optimizers), figsize=size, sharex=True, sharey=True)
    for axis, (model, optimizer) in zip(axes.flat, product(models, optimizers), strict=True):
        values = [[points[model, optimizer].get((lr, eps), []) for lr in rates] for eps in every_eps]
        means = [[sum(v) / len(v) if v else math.nan for v in row] for row in values]
        axis.imshow(means, vmin=0, vmax=100, cmap="viridis", origin="lower", aspect="auto")
        for row, place in product(range(len(every_eps)), range(len(rates))):
            if not math.isnan(mean := means[row][place]):
                shade = "black" if mean > 60 else "white"
                axis.text(place, row, f"{mean:.0f}", ha="center", va="center", size=7, color=shade)
        axis.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axis.set_yticks(range(len(every_eps)), [f"{eps:g}" for eps in every_eps])
        axis.set_title(f"{model_name(model)}, {look(optimizer).label}")
    canvas.supxlabel("learning rate", size=8)
    canvas.supylabel("eps", size=8)
    canvas.suptitle(title, fontsize=9)
    return canvas


def _lines(title: str, points: Points) -> Any:
    """A panel a model, a line an optimizer: the mean, and the range over seeds."""
    models, optimizers = models_of(points), _optimizers(points)
    canvas, axes = subplots(1, len(models), figsize=(max(6.6, 3.3 * len(models)), 2.9))
    for axis, model in zip(axes[0], models, strict=True):
        for optimizer in optimizers:
            settings, style = sorted(points[model, optimizer].items()), look(optimizer)
            rates = [rate for (rate, _), _ in settings]
            means = [sum(values) / len(values) for _, values in settings]
            ranges = [
                [mean - min(values) for mean, (_, values) in zip(means, settings, strict=True)],
                [max(values) - mean for mean, (_, values) in zip(means, settings, strict=True)],
            ]
            axis.errorbar(
                rates, means, ranges, marker="o", ms=2.5, lw=1, capsize=2, color=style.color,
                linestyle=style.linestyle, label=style.label,
            )  # fmt: skip
        axis.set(title=model_name(model), xlabel="learning rate", xscale="log")
    legend_below(canvas, axes)
    canvas.suptitle(f"{title}; bars: range over seeds", fontsize=9)
    return canvas
