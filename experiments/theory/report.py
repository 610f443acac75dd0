"""The theory's tables and figures: convergence maps with their counts here, everything else in curves.py."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from acprop.report import PUBLISHED
from acprop.report.artefacts import Artefact, figure, table
from acprop.report.figures import subplots
from acprop.report.records import provenance
from acprop.report.style import look
from acprop.runs.record import Record
from experiments.theory import curves

SPANS = ("dataset",)  # problems are data sets, and studies compare them
CONVERGES, DIVERGES = "#E69F00", "#0072B2"  # the paper's orange plus and blue circle
FIGURES = {"eq1": "Fig 1", "eq2": "Fig 3"}
PARTS = {"eq1": "fig1", "eq2": "fig3"}
CRITERIA = ("stated", "matching", "limit")
VARIANTS_OF_ACPROP = ("acprop_skip", "acprop_paper")  # compared with the published panel of ACProp
WIDTH = 5.5  # inches: the text width of the paper


def artefacts(records: list[Record]) -> Iterator[Artefact]:
    for (study, suffix), group in _studies(records).items():
        if study == "map":
            yield from _maps(suffix, group)
        elif study in curves.STUDIES:
            shown = curves.STUDIES[study]
            name = shown.name + suffix
            if shown.draw:
                yield figure(name, shown.part, shown.shown, group, partial(shown.draw, group))
            if shown.table:
                caption, header, rows, long = shown.table(group)
                yield table(name, shown.part, caption, group, header, rows, long)


def _maps(suffix: str, records: list[Record]) -> Iterator[Artefact]:
    for record in records:
        problem, criterion = record.summary["dataset"], record.summary["optimizer"]
        name, title = f"{PARTS[problem]}_{criterion}", FIGURES[problem]
        shown = f"{title}, criterion {criterion}: where each optimizer converges in the plane of β2 and P"
        yield figure(name + suffix, PARTS[problem], shown, [record], partial(draw_map, record))
        shown = f"{title} at three β1, criterion {criterion}"
        yield figure(f"{name}_beta1{suffix}", PARTS[problem], shown, [record], partial(draw_beta1, record))
    for name, (caption, header, rows, long) in (
        ("theory_maps", counts(records)), ("theory_maps_beta1", beta1_counts(records)),
    ):  # fmt: skip
        yield table(name + suffix, "fig1", caption, records, header, rows, long)


def _studies(records: list[Record]) -> dict[tuple[str, str], list[Record]]:
    """(study, suffix of its files) -> the records to show, in one order. A suffix tells a scale below the paper's, and
    settings beside the published ones by their hash, where one cell of a study was run with several."""
    cells: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "done":
            s = record.summary
            cells[s["model"], s["scale"], s["dataset"], s["optimizer"], str(s["seed"])].append(record)
    studies: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for (study, scale, *_), group in sorted(cells.items()):
        for record in group:
            suffix = "" if scale == "paper" else f"_{scale}"
            suffix += "" if len(group) == 1 else f"-hash={record.hash}"
            studies[study, suffix].append(record)
    return studies


# -- what is published, and what a record says beside it ------------------------------------------------------------


def published_maps() -> dict[tuple[str, str], np.ndarray]:
    """(problem, optimizer) -> bool (P, beta2), read off the paper's figures cell by cell."""
    rows = defaultdict(list)
    with (PUBLISHED / "convergence_maps.csv").open() as file:
        for row in csv.DictReader(file):
            rows[row["problem"], row["optimizer"]].append([mark == "+" for mark in row["converges"]])
    return {key: np.array(cells) for key, cells in rows.items()}


class Panel:
    """One panel of a map at one beta1: `converges`, `distance` (P, beta2), `drift` on the fine grid."""

    def __init__(self, record: Record, name: str, beta1: float) -> None:
        i = record.config["problem"]["panels"].index(name)
        j = record.config["study"]["beta1"].index(beta1)
        self.name, self.beta1 = name, beta1
        self.converges, self.distance, self.drift = (
            record.arrays[key][i, j] for key in ("converges", "distance", "drift")
        )
        reference = published_maps().get((record.summary["dataset"], "acprop" if name in VARIANTS_OF_ACPROP else name))
        # a map on other axes than the published one has nothing to be compared with
        self.published = reference if reference is not None and reference.shape == self.converges.shape else None

    @property
    def differ(self) -> int | None:
        return None if self.published is None else int((self.converges != self.published).sum())


def panels(record: Record) -> list[Panel]:
    """Each panel at the criterion's own beta1."""
    chosen = record.config["study"]["criterion"]["beta1"]
    return [Panel(record, name, chosen.get(name, chosen["default"])) for name in record.config["problem"]["panels"]]


def _told(criterion: dict[str, Any]) -> str:
    """The criterion as a caption tells it."""
    if criterion["measure"] == "drift":
        return "+ if the drift over a period of the steady state leads to the optimum (T → ∞, lr → 0, any x0)"
    what = {"x": "mean of x", "distance": "mean |x − x*|"}[criterion["measure"]]
    over = f"over the last {criterion['tail']} steps" if criterion["tail"] > 1 else "at the last step"
    what = what if criterion["tail"] > 1 else what.removeprefix("mean of ").removeprefix("mean ")
    steps = dict(criterion["steps"])
    horizon = f"T = {steps.pop('default'):,}" + "".join(f" ({look(name).label} {n:,})" for name, n in steps.items())
    lrs = criterion["lrs"]
    rate = f"lr = {lrs[0]:g}/√t" if len(lrs) == 1 else f"for some lr of {', '.join(f'{lr:g}' for lr in lrs)}, each /√t"
    return f"+ if {what} {over} < {criterion['below']:g}; {horizon}; {rate}; x0 = {criterion['x0']:g}"


def _beta1_told(criterion: dict[str, Any]) -> str:
    chosen = dict(criterion["beta1"])
    default = chosen.pop("default")
    return f"β1 = {default:g}" + "".join(f", {look(name).label} {value:g}" for name, value in chosen.items())


# -- figures --------------------------------------------------------------------------------------------------------


def draw_map(record: Record) -> Any:
    """Fig 1 or Fig 3: the paper's panels first, in its symbols; the exact boundary as a line; agreement as a count. Of
    what the paper does not show, panels without a boundary are told in a line."""
    arrays = record.arrays
    published = {name for problem, name in published_maps() if problem == record.summary["dataset"]}
    found = panels(record)
    every = [panel for panel in found if panel.name in published or not _is_plain(panel)]
    plain = [panel for panel in found if panel.name not in published and _is_plain(panel)]
    rows = -(-len(every) // 3)
    figure, axes = subplots(rows, 3, figsize=(WIDTH, 1.55 * rows + 0.6), sharex=True, sharey=True)
    x, y = np.meshgrid(arrays["beta2"], arrays["P"])
    for axis, panel in zip(axes.flat, every, strict=False):
        yes = panel.converges
        axis.plot(x[yes], y[yes], "+", color=CONVERGES, ms=3, mew=0.7, label="converges")
        axis.plot(x[~yes], y[~yes], "o", color=DIVERGES, ms=2, mew=0.5, mfc="none", label="diverges")
        _boundary(axis, arrays, panel)
        whose = "" if panel.name in published else ", not in the paper"
        axis.set_title(f"{look(panel.name).label}{whose}\n{_agreement(panel)}", fontsize=7, pad=3)
        axis.set(xlim=(x.min() - 0.1, x.max() + 0.1), ylim=(y.min() - 1.5, y.max() + 1.5))
    for axis in axes.flat[len(every) :]:
        axis.axis("off")
    axes[-1, 1].set_xlabel("−log10(1 − β2)")
    figure.supylabel("P", fontsize=8)
    _legend(figure)
    criterion = record.config["study"]["criterion"]
    title = f"{FIGURES[record.summary['dataset']]}, criterion {record.summary['optimizer']}"
    figure.suptitle(_wrap(f"{title}: {_told(criterion)}; {_beta1_told(criterion)}{_plain_told(plain)}"), fontsize=7.5)
    return figure


def _is_plain(panel: Panel) -> bool:
    return bool(panel.converges.all() or not panel.converges.any())


def _plain_told(plain: list[Panel]) -> str:
    """Panels that are one colour, in words."""
    told = ""
    for verb, wanted in (("converge", True), ("diverge", False)):
        if names := [look(panel.name).label for panel in plain if bool(panel.converges.all()) is wanted]:
            told += f". Not in the paper, {verb} in every cell: {'; '.join(names)}"
    return told


def draw_beta1(record: Record) -> Any:
    """The appendix: the same map at every beta1, a column each."""
    from matplotlib.colors import ListedColormap

    names, beta1 = record.config["problem"]["panels"], record.config["study"]["beta1"]
    arrays, colors = record.arrays, ListedColormap([DIVERGES, CONVERGES])
    figure, axes = subplots(len(names), len(beta1), figsize=(WIDTH, 0.62 * len(names) + 0.9), sharex=True, sharey=True)
    for row, name in zip(axes, names, strict=True):
        for axis, b1 in zip(row, beta1, strict=True):
            panel = Panel(record, name, b1)
            cells = (arrays["beta2"], arrays["P"], panel.converges)
            axis.pcolormesh(*cells, cmap=colors, vmin=0, vmax=1, rasterized=True)
            _boundary(axis, arrays, panel)
            above = f"β1 = {b1:g}\n" if axis in axes[0] else ""
            axis.set_title(above + _agreement(panel), fontsize=6, pad=2)
            axis.tick_params(labelsize=6)
        row[0].set_ylabel(look(name).label.replace(", ", ",\n"), fontsize=6, rotation=0, ha="right", va="center")
    figure.supxlabel("−log10(1 − β2); vertically: P", fontsize=8)
    criterion = record.config["study"]["criterion"]
    title = f"{FIGURES[record.summary['dataset']]} at three β1, criterion {record.summary['optimizer']}"
    legend = "orange converges, blue diverges, line: exact limit"
    figure.suptitle(_wrap(f"{title}: {_told(criterion)}; {legend}"), fontsize=7.5)
    return figure


def _boundary(axis: Any, arrays: dict[str, np.ndarray], panel: Panel) -> None:
    if panel.drift.min() < 0 < panel.drift.max():
        axis.contour(arrays["fine_beta2"], arrays["fine_P"], panel.drift, [0.0], colors="black", linewidths=1)


def _agreement(panel: Panel) -> str:
    """How many cells agree with the published panel; where there is none, how many converge."""
    size = panel.converges.size
    if panel.differ is None:
        return f"converge {panel.converges.sum()}/{size}"
    beside = " with ACProp's" if panel.name in VARIANTS_OF_ACPROP else ""
    return f"agree {size - panel.differ}/{size}{beside}"


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=CONVERGES, marker="+", ls="", label="converges"),
        Line2D([], [], color=DIVERGES, marker="o", mfc="none", ls="", label="diverges"),
        Line2D([], [], color="black", label="exact limit, T → ∞"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


def _wrap(text: str, width: int = 95) -> str:
    import textwrap

    return textwrap.fill(text, width)


# -- tables ---------------------------------------------------------------------------------------------------------


def counts(records: list[Record]) -> curves.Table:
    """Rows: optimizers; columns: figure and criterion; cells that differ from the published map, and that converge."""
    records = _in_order(records)
    header = ["optimizer", *(f"{FIGURES[r.summary['dataset']]} {r.summary['optimizer']}" for r in records)]
    found = [{panel.name: panel for panel in panels(record)} for record in records]
    names = list(dict.fromkeys(name for one in found for name in one))
    rows = [[look(name).label, *(_count(one.get(name)) for one in found)] for name in names]
    told = "; ".join(
        f"{FIGURES[r.summary['dataset']]} {r.summary['optimizer']}: {_told(r.config['study']['criterion'])}, "
        f"{_beta1_told(r.config['study']['criterion'])}"
        for r in records
    )
    caption = (
        "Convergence maps: cells that differ from the published map / of all; in brackets, cells that converge. The "
        f"two variants of ACProp are compared with the published ACProp. {told}. {provenance(records)}"
    )
    return caption, header, rows, [row for record in records for row in _long(record, panels(record))]


def beta1_counts(records: list[Record]) -> curves.Table:
    """The same counts at every beta1."""
    records = _in_order(records)
    found = [
        {
            (n, b1): Panel(record, n, b1)
            for n in record.config["problem"]["panels"]
            for b1 in record.config["study"]["beta1"]
        }
        for record in records
    ]
    cells = list(dict.fromkeys(cell for one in found for cell in one))
    header = ["optimizer", "β1", *(f"{FIGURES[r.summary['dataset']]} {r.summary['optimizer']}" for r in records)]
    rows = [[look(name).label, f"{b1:g}", *(_count(one.get((name, b1))) for one in found)] for name, b1 in cells]
    caption = (
        "Convergence maps at every β1: cells that differ from the published map / of all; in brackets, cells that "
        f"converge. Criteria as in theory_maps. {provenance(records)}"
    )
    long = [row for record, one in zip(records, found, strict=True) for row in _long(record, one.values())]
    return caption, header, rows, long


def _in_order(records: list[Record]) -> list[Record]:
    known = [*CRITERIA, *(r.summary["optimizer"] for r in records)]
    return sorted(records, key=lambda r: (r.summary["dataset"], known.index(r.summary["optimizer"])))


def _count(panel: Panel | None) -> str:
    if panel is None:
        return ""
    differ = "–" if panel.differ is None else str(panel.differ)
    return f"{differ} / {panel.converges.size} ({panel.converges.sum()})"


def _long(record: Record, every: Iterable[Panel]) -> list[dict[str, object]]:
    return [
        {
            "problem": record.summary["dataset"],
            "criterion": record.summary["optimizer"],
            "optimizer": panel.name,
            "beta1": panel.beta1,
            "cells": panel.converges.size,
            "converge": int(panel.converges.sum()),
            "differ_from_published": "" if panel.differ is None else panel.differ,
            "within_0.01_of_optimum": "" if np.isnan(panel.distance).all() else int((panel.distance < 0.01).sum()),
        }
        for panel in every
    ]
