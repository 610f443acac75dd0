"""Fig 6 of the paper: test accuracy of the optimizers on the three nets, as table and curves, a pair for every data
set and scale that has records. The paper draws one run a curve; here a band is the range over seeds."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

from acprop.report import PUBLISHED, results_root
from acprop.report.figures import legend_below, subplots
from acprop.report.records import Cells, by_budget, by_cell, cell_text, file_name, provenance, row_label
from acprop.report.stats import separate_winner, summarize
from acprop.report.style import DATASETS, MODELS, look, order
from acprop.report.tables import write_table
from acprop.runs.identity import data_root
from acprop.runs.record import FINISHED, Record

CURVES_FILE = "published_curves.csv"  # scripts/import_published_curves.py writes it
FIG6 = ("sgd", "adam", "radam", "adamw", "adashift", "adabelief", "acprop")


def write_all(tables: bool = True, figures: bool = True) -> list[Path]:
    """Rebuilds every CNN table and figure from the records; returns the paths without suffix."""
    from acprop.report import cnn_sweeps

    written = []
    for (dataset, scale), records in by_budget("cifar").items():
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[record.config["figure"]].append(record)
        for figure, group in groups.items():
            name = file_name(figure, dataset, scale)
            table_path, figure_path = results_root() / "tables" / name, results_root() / "figures" / name
            cells = by_cell(group)
            if tables:
                if figure == "fig6":
                    _table(table_path, dataset, scale, cells)
                else:
                    cnn_sweeps.table(table_path, group)
                written.append(table_path)
            if figures and figure != "tuning":
                if figure == "fig6":
                    _figure(figure_path, dataset, scale, cells)
                else:
                    cnn_sweeps.figure(figure_path, group)
                written.append(figure_path)
    return written


def published(dataset: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(model, optimizer) -> the paper's numbers, read off the authors' curve files; CIFAR-10 alone has any."""
    if dataset != "cifar10":
        return {}
    with (PUBLISHED / "fig6_cifar10.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def _values(records: list[Record], which: str) -> list[float]:
    """Test top-1 of the finished runs: of the last epoch, or of the best (picked on the test set, as the paper's
    curves are read)."""
    done = [record.summary for record in records if record.status == "done"]
    return [s["final"]["test/top1"] if which == "last" else s["best"]["value"] for s in done]


def _table(path: Path, dataset: str, scale: str, cells: Cells) -> None:
    models = [model for model in MODELS if any(cell[0] == model for cell in cells)]
    labels = sorted(
        {*FIG6, *(label for _, label in cells)} - _split_up(cells), key=lambda label: order(label.split(" ")[0])
    )
    paper = published(dataset)
    header = ["optimizer"]
    columns: list[list[str]] = []
    for model in models:
        for which in ("last", "best"):
            header.append(f"{MODELS[model]} {which}")
            summaries = [summarize(_values(cells.get((model, label), []), which)) for label in labels]
            winner = separate_winner(summaries)
            column = []
            for index, label in enumerate(labels):
                text = cell_text(cells.get((model, label)), summaries[index])
                if index == winner:
                    text = f"**{text}**"
                if reference := paper.get((model, label)):
                    text += f" / paper {float(reference[which]):.2f}"
                column.append(text)
            columns.append(column)
    rows = [[row_label(label), *(column[index] for column in columns)] for index, label in enumerate(labels)]
    write_table(
        path, _caption(dataset, scale, cells), header, rows, _long(dataset, scale, models, labels, cells, paper)
    )


def _split_up(cells: Cells) -> set[str]:
    """Plain names of optimizers that appear only as several settings: they need no empty row of their own."""
    labels = {label for _, label in cells}
    return {label.split(" ")[0] for label in labels if " " in label} - labels


def _caption(dataset: str, scale: str, cells: Cells) -> str:
    records = [record for group in cells.values() for record in group]
    budgets: dict[str, list[str]] = defaultdict(list)  # the same budget is told once, for all models that had it
    for model in MODELS:
        config = next((r.config for r in records if r.summary["model"] == model), None)
        if config:
            text = f"{config['epochs']} epochs, batch {config['batch_size']}, width {config['width']}"
            budgets[f"{text}, {config['precision']}"].append(MODELS[model])
    told = "; ".join(f"{', '.join(names)}: {text}" for text, names in budgets.items())
    data = DATASETS.get(dataset, dataset)
    return (
        f"Fig 6 on {data}: test top-1 in %, mean ± std (n) and 95 % interval over seeds; last epoch, and best epoch "
        f"picked on the test set. Scale: {scale} ({told}). Bold: interval apart from all others. "
        f"{provenance(records)}"
    )


def _long(
    dataset: str, scale: str, models: list[str], labels: list[str],
    cells: Cells, paper: dict[tuple[str, str], dict[str, Any]],
) -> list[dict[str, object]]:  # fmt: skip
    rows: list[dict[str, object]] = []
    for model in models:
        for label in labels:
            records = cells.get((model, label), [])
            row: dict[str, object] = {"dataset": dataset, "scale": scale, "model": model, "optimizer": label}
            row["seeds"] = " ".join(str(record.summary["seed"]) for record in records if record.status == "done")
            row.update(
                {
                    status: sum(record.status == status for record in records)
                    for status in (*FINISHED, "failed", "interrupted")
                }
            )
            for which in ("last", "best"):
                summary = summarize(_values(records, which))
                for field in ("mean", "std", "low", "high"):
                    value = getattr(summary, field) if summary else None
                    row[f"{which}_{field}"] = "" if value is None else round(value, 4)
                row[f"paper_{which}"] = paper.get((model, label), {}).get(which, "")
            rows.append(row)
    return rows


def _figure(path: Path, dataset: str, scale: str, cells: Cells) -> None:
    import numpy as np

    models = [model for model in MODELS if any(cell[0] == model for cell in cells)]
    paper, overlay = published(dataset), published_curves(dataset)
    with subplots(path, 1, len(models), figsize=(3.3 * len(models), 2.9)) as (figure, axes):
        for axis, model in zip(axes[0], models, strict=True):
            labels = sorted((label for m, label in cells if m == model), key=lambda label: order(label.split(" ")[0]))
            tops: dict[str, float] = {}
            for label in labels:
                style = look(label.split(" ")[0])
                curves = [record.curve("test", "top1") for record in cells[model, label] if record.status in FINISHED]
                length = min((len(curve) for curve in curves), default=0)
                if not length:
                    continue
                epochs = [epoch for epoch, _ in curves[0][:length]]
                values = np.array([[value for _, value in curve[:length]] for curve in curves])
                axis.plot(
                    epochs,
                    values.mean(0),
                    color=style.color,
                    linestyle=style.linestyle,
                    lw=1.3,
                    label=row_label(label),
                )
                if len(curves) > 1:
                    axis.fill_between(epochs, values.min(0), values.max(0), color=style.color, alpha=0.15, lw=0)
                tops[row_label(label)] = values.mean(0).max()
                if curve := overlay.get((model, label)):
                    axis.plot(*zip(*curve, strict=True), color=style.color, lw=0.5, alpha=0.6)
                if reference := paper.get((model, label)):
                    axis.plot(float(reference["best_epoch"]), float(reference["best"]), "^", color=style.color, ms=4)
                    axis.plot(200, float(reference["last"]), "s", color=style.color, ms=3)
            if tops:
                # what divides the optimizers is near the top; a run that never learns is named below it
                bottom = max(0.0, min(90.0, float(np.median(list(tops.values()))) - 15))
                axis.set_ylim(bottom, min(100.5, max(tops.values()) + 2))
                if below := [name for name, top in tops.items() if top < bottom]:
                    axis.text(
                        0.98, 0.02, "below: " + ", ".join(below), transform=axis.transAxes, ha="right", fontsize=7
                    )
            axis.set(title=MODELS[model], xlabel="epoch")
        axes[0][0].set_ylabel("test top-1 (%)")
        legend_below(figure, axes)
        note = (
            ""
            if not paper
            else "; markers: paper's best (triangle) and last (square)" + ("; thin: paper" if overlay else "")
        )
        figure.suptitle(f"{DATASETS.get(dataset, dataset)}, scale {scale}{note}", fontsize=9)


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
