"""What every task that classifies images shows: test accuracy as table and curves, a pair for each data set and scale.
The paper draws one run a curve; here a band is the range over seeds."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from acprop.report.again import again
from acprop.report.artefacts import Artefact, figure, table
from acprop.report.cells import Measure, Reference, summary, wide
from acprop.report.comparisons import ends_told
from acprop.report.figures import draw_runs, head, legend_below, subplots
from acprop.report.records import (
    Cells,
    budgets_text,
    by_cell,
    file_name,
    labels_of,
    models_of,
    provenance,
    row_label,
    runs_told,
    settings_told,
)
from acprop.report.stats import PERCENT
from acprop.report.style import dataset_name, look, model_name, order
from acprop.runs.record import FINISHED, Record

LINES = 24  # in a panel
Paper = dict[tuple[str, str], dict[str, Any]]  # (model, optimizer) -> the paper's numbers
Overlay = dict[tuple[str, str], list[tuple[float, float]]]  # (model, optimizer) -> (epoch, test top-1)


class Study(NamedTuple):
    """What tells one task's tables and figures from another's."""

    part: str  # of the paper, and the beginning of the file names
    title: str
    optimizers: tuple[str, ...]  # rows that are there even if nothing was run
    metrics: dict[str, str]  # metric of split `test` -> its name; the first selects the best epoch
    published: Callable[[str, str], Paper]  # of a data set and scale
    note: Callable[[Paper], str] = lambda paper: ""  # said in the caption of the paper's numbers
    overlay: Callable[[str], Overlay] = lambda dataset: {}  # published curves of a data set


def artefacts(study: Study, dataset: str, scale: str, records: list[Record]) -> Iterator[Artefact]:
    """The table and the figure of one data set and scale."""
    cells, name, paper = by_cell(records), file_name(study.part, dataset, scale), study.published(dataset, scale)
    lead = {"dataset": dataset, "scale": scale}
    rows = wide(
        cells, models_of(cells), labels_of(cells, study.optimizers), _measures(study), lead,
        _references(study, paper) if paper else None,
    )  # fmt: skip
    metrics = " and ".join(study.metrics.values())
    what = f"{study.title} on {dataset_name(dataset)}: test {metrics} in %"
    caption = (
        f"{what}, mean ± std (n) and 95 % interval over seeds; last epoch, and best epoch picked on the test set. "
        f"Scale: {scale} ({budgets_text(cells, budget)}).{settings_told(records)} Bold: interval apart from all "
        f"others. {study.note(paper)}{ends_told(cells, ('test', next(iter(study.metrics))))}{again(records)}"
        f"{provenance(records)}"
    )
    yield table(name, study.part, caption, records, *rows)
    yield figure(
        name, study.part,
        f"{what} over epochs; line: mean, band: range over seeds; those that "
        f"ended early are counted alone. Scale: {scale}.", records,
        lambda: _draw(study, dataset, scale, cells, paper),
    )  # fmt: skip


def _measures(study: Study) -> list[Measure]:
    """Of the last epoch and of the best, which the first metric selects on the test set, as the paper's curves are
    read."""
    first = next(iter(study.metrics))
    measures = []
    for metric, label in study.metrics.items():
        name = label if len(study.metrics) > 1 else ""
        key = "" if metric == first else f"{metric}_"
        measures += [
            Measure(f"{name} last".strip(), f"{key}last", _last(metric), bounds=PERCENT),
            Measure(f"{name} best".strip(), f"{key}best", _best(metric, metric == first), bounds=PERCENT),
        ]
    return measures


def _last(metric: str) -> Callable[[Record], float | None]:
    return lambda record: record.summary["final"].get(f"test/{metric}")


def _best(metric: str, selects: bool) -> Callable[[Record], float | None]:
    def value(record: Record) -> float | None:
        best = record.summary["best"]
        if not best:
            return None
        return best["value"] if selects else dict(record.curve("test", metric)).get(best["epoch"])

    return value


def _references(study: Study, paper: Paper) -> Callable[[str, str, Measure], Reference | None]:
    def reference(model: str, label: str, measure: Measure) -> Reference | None:
        row = paper.get((model, label), {})
        if measure.key not in ("last", "best") or not row.get(measure.key):
            return None
        quoted = "†" if row.get("run_by") == "quoted" else ""
        return Reference(f"{float(row[measure.key]):.2f}{quoted}", {f"paper_{measure.key}": row[measure.key]})

    return reference


def budget(config: dict[str, Any]) -> str:
    """What an image classifier was trained with, for a caption."""
    width = f", width {config['width']}" if "width" in config else ""
    images = f", {config['train_size']:,} training images" if config.get("train_size") else ""
    return f"{config['epochs']} epochs, batch {config['batch_size']}{width}{images}, {config['precision']}"


def _draw(study: Study, dataset: str, scale: str, cells: Cells, paper: Paper) -> Any:
    panels = [(model, metric) for model in models_of(cells) for metric in study.metrics]
    overlay = study.overlay(dataset)
    canvas, axes = subplots(1, len(panels), figsize=(max(4.2, 3.3 * len(panels)), 2.9))
    for axis, (model, metric) in zip(axes[0], panels, strict=True):
        own = {label: records for (m, label), records in cells.items() if m == model}
        _curves(axis, own, metric)
        if metric == next(iter(study.metrics)):
            _mark_paper(axis, model, own, paper, overlay)
        axis.set(title=model_name(model), xlabel="epoch", ylabel=f"test {study.metrics[metric]} (%)")
    if len(study.metrics) == 1:
        for axis in axes[0][1:]:
            axis.set_ylabel("")
    legend_below(canvas, axes)
    note = ""
    if any("best_epoch" in row for row in paper.values()):
        note = "; markers: paper's best (triangle) and last (square)" + ("; thin: paper" if overlay else "")
    elif paper:
        note = "; thin: paper"
    told = f"scale {scale} ({budgets_text(cells, budget)})"
    head(canvas, f"{dataset_name(dataset)}, {told}, {runs_told(cells)}{note}")
    return canvas


def _curves(axis: Any, cells: dict[str, list[Record]], metric: str) -> None:
    """Mean over seeds and their range, an optimizer a line."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(cells) > LINES:  # more than anybody tells apart
        last = {label: summary(group, Measure("", "", _last(metric))) for label, group in cells.items()}
        best = sorted(cells, key=lambda label: -getattr(last[label], "mean", -math.inf))[:LINES]
        axis.text(0.02, 0.02, f"the best {LINES} of {len(cells)} settings", transform=axis.transAxes, fontsize=7)
        cells = {label: cells[label] for label in best}
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


def _mark_paper(axis: Any, model: str, cells: dict[str, list[Record]], paper: Paper, overlay: Overlay) -> None:
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
