"""Sweeps over an optimizer's settings: what tuning chose by, and the figures in which every setting is a result."""

import math
from collections import defaultdict
from itertools import product
from pathlib import Path

from acprop.report.figures import legend_below, subplots
from acprop.report.records import (
    budgets_text,
    by_cell,
    cell_text,
    counts,
    labels_of,
    models_of,
    provenance,
    row_label,
    summary_fields,
)  # fmt: skip
from acprop.report.stats import summarize
from acprop.report.style import DATASETS, MODELS, look, order
from acprop.report.tables import write_table
from acprop.runs.record import FINISHED, Record
from experiments.images.report import budget

TITLES = {
    "tuning": "Tuning behind Fig 6",
    "fig7": "Fig 7",
    "fig5cd": "Fig 5c, d",
}


def table(path: Path, records: list[Record]) -> None:
    """Last top-1 of every setting; where a setting was to be chosen, the largest of each optimizer is bold."""
    first = records[0]
    figure, held_out = first.config["figure"], first.config["held_out"]
    key = f"{'validation' if held_out else 'test'}/top1"
    cells = by_cell(records)
    models, labels = models_of(cells), labels_of(cells)
    summaries = {
        cell: summarize([r.summary["final"][key] for r in group if r.status == "done"]) for cell, group in cells.items()
    }
    largest: dict[tuple[str, str], float] = defaultdict(float)
    for (model, label), summary in summaries.items():
        optimizer = label.split(" ")[0]
        if summary:
            largest[model, optimizer] = max(largest[model, optimizer], summary.mean)
    rows, long = [], []
    for label in labels:
        row = [row_label(label)]
        for model in models:
            summary = summaries.get((model, label))
            text = cell_text(cells.get((model, label)), summary)
            chosen = figure == "tuning" and summary and summary.mean == largest[model, label.split(" ")[0]]
            row.append(f"**{text}**" if chosen else text)
            group = cells.get((model, label), [])
            long.append(
                {
                    "model": model, "optimizer": label.split(" ")[0],
                    "lr": group[0].config["optimizer"]["lr"] if group else "",
                    "eps": group[0].config["optimizer"].get("eps", "") if group else "",
                    **counts(group), **summary_fields(key, summary), "chosen": "yes" if chosen else "",
                }
            )  # fmt: skip
        rows.append(row)
    judged = (
        f"top-1 in % on the {held_out:.0%} of the training images that were held out; bold: chosen, the largest of an "
        "optimizer (of equal ones the first of its grid)"
        if held_out
        else "test top-1 in % of the last epoch, mean ± std (n) and 95 % interval over seeds"
    )
    caption = (
        f"{TITLES[figure]} on {DATASETS.get(first.summary['dataset'], first.summary['dataset'])}: {judged}. "
        f"Scale: {first.summary['scale']} ({budgets_text(cells, budget)}). {provenance(records)}"
    )
    write_table(path, caption, ["optimizer", *(MODELS[model] for model in models)], rows, long)


Points = dict[tuple[str, str], dict[tuple[float, float], list[float]]]  # (model, optimizer) -> (lr, eps) -> top-1


def figure(path: Path, records: list[Record]) -> None:
    """Last test top-1 over the settings, how much the choice matters: over lr and eps as a map for each optimizer, or,
    where eps stayed the same, over lr as lines. A run that diverged counts 0."""
    points: Points = defaultdict(lambda: defaultdict(list))
    for record in (record for record in records if record.status in FINISHED):
        s, settings = record.summary, record.config["optimizer"]
        value = s["final"]["test/top1"] if record.status == "done" else 0.0
        points[s["model"], s["optimizer"]][settings["lr"], settings.get("eps", 0.0)].append(value)
    first = records[0].summary
    title = f"{TITLES[records[0].config['figure']]}, {DATASETS.get(first['dataset'], first['dataset'])}, scale "
    title += f"{first['scale']}: test top-1 of the last epoch (%), a diverged run counts 0"
    several_eps = any(len({eps for _, eps in settings}) > 1 for settings in points.values())
    (_maps if several_eps else _lines)(path, title, points)


def _optimizers(points: Points) -> list[str]:
    return sorted({optimizer for _, optimizer in points}, key=order)


def _maps(path: Path, title: str, points: Points) -> None:
    """Rows: models; columns: optimizers. Colours from 0 to 100 %, the numbers written in."""
    models, optimizers = models_of(points), _optimizers(points)
    settings = {setting for cell in points.values() for setting in cell}
    rates, every_eps = (sorted({setting[axis] for setting in settings}) for axis in (0, 1))
    size = (max(6.6, 0.5 * len(rates) * len(optimizers)), 0.9 + max(1.2, 0.25 * len(every_eps)) * len(models))
    with subplots(path, len(models), len(optimizers), figsize=size, sharex=True, sharey=True) as (canvas, axes):
        for axis, (model, optimizer) in zip(axes.flat, product(models, optimizers), strict=True):
            values = [[points[model, optimizer].get((lr, eps), []) for lr in rates] for eps in every_eps]
            means = [[sum(v) / len(v) if v else math.nan for v in row] for row in values]
            axis.imshow(means, vmin=0, vmax=100, cmap="viridis", origin="lower", aspect="auto")
            for row, column in product(range(len(every_eps)), range(len(rates))):
                if not math.isnan(mean := means[row][column]):
                    shade = "black" if mean > 60 else "white"
                    axis.text(column, row, f"{mean:.0f}", ha="center", va="center", size=7, color=shade)
            axis.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
            axis.set_yticks(range(len(every_eps)), [f"{eps:g}" for eps in every_eps])
            axis.set_title(f"{MODELS[model]}, {look(optimizer).label}")
        canvas.supxlabel("learning rate", size=8)
        canvas.supylabel("eps", size=8)
        canvas.suptitle(title, fontsize=9)


def _lines(path: Path, title: str, points: Points) -> None:
    """A panel a model, a line an optimizer: the mean, and the range over seeds."""
    models, optimizers = models_of(points), _optimizers(points)
    with subplots(path, 1, len(models), figsize=(max(6.6, 3.3 * len(models)), 2.9)) as (canvas, axes):
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
            axis.set(title=MODELS[model], xlabel="learning rate", xscale="log")
        legend_below(canvas, axes)
        canvas.suptitle(f"{title}; bars: range over seeds", fontsize=9)
