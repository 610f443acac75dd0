"""Table 4 of the paper: FID of four GANs under five optimizers, as table, as curves over generator steps, and as a page
of samples per optimizer, and a table of KID, precision and recall; a set for every data set, scale and metric that has
records. Feature FID, the distance seen by
a classifier of the data set itself, has files of its own and never stands beside the paper's numbers."""

import csv
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

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
from acprop.report.style import DATASETS, MODELS, look
from acprop.report.tables import write_table
from acprop.runs.record import FINISHED, Record

TABLE4 = ("adam", "radam", "adashift", "adabelief", "acprop")
METRICS = {"inception": "fid", "classifier": "feature_fid"}
NAMES = {"fid": "FID", "feature_fid": "feature FID"}
PAPER_LR = 2e-4


def write_all(tables: bool = True, figures: bool = True) -> list[Path]:
    """Rebuilds every GAN table and figure from the records; returns the paths without suffix."""
    written = []
    for (dataset, scale, metric), cells in _groups().items():
        name = file_name("table4" if metric == "fid" else f"table4_{metric}", dataset, scale)
        if tables:
            written.append(results_root() / "tables" / name)
            _table(written[-1], dataset, scale, metric, cells)
            written.append(results_root() / "tables" / f"{name}_kid")
            _kid_table(written[-1], dataset, scale, metric, cells)
        if figures:
            written.append(results_root() / "figures" / name)
            _figure(written[-1], dataset, scale, metric, cells)
            for optimizer in sorted({label.split(" ")[0] for _, label in cells}):
                path = results_root() / "figures" / f"{name}_samples_{optimizer}"
                if _samples(path, dataset, scale, metric, optimizer, cells):
                    written.append(path)
    return written


def _groups() -> dict[tuple[str, str, str], Cells]:
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for (dataset, scale), records in by_budget("gan").items():
        for record in records:
            groups[dataset, scale, METRICS[record.config["fid_network"]]].append(record)
    return {key: by_cell(records) for key, records in groups.items()}


def published(dataset: str, scale: str, metric: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(model, optimizer) -> the paper's FID; only FID of published files on CIFAR-10 may stand beside it."""
    if dataset != "cifar10" or metric != "fid" or "own=files" in scale:
        return {}
    with (PUBLISHED / "table4_gan.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def _values(records: list[Record], which: str, metric: str) -> list[float]:
    """FID of the finished runs: the last, or the best of a run, as the paper reports it."""
    done = [record.summary for record in records if record.status == "done"]
    return [s["final"][f"test/{metric}"] if which == "last" else s["best"]["value"] for s in done]


def _collapsed(records: list[Record]) -> int:
    return sum(bool(record.summary.get("collapsed")) for record in records)


def _table(path: Path, dataset: str, scale: str, metric: str, cells: Cells) -> None:
    models, labels, paper = models_of(cells), labels_of(cells, TABLE4), published(dataset, scale, metric)
    header, columns = ["optimizer"], []
    for model in models:
        for which in ("best", "last"):
            header.append(f"{MODELS[model]} {which}")
            summaries = [summarize(_values(cells.get((model, label), []), which, metric)) for label in labels]
            winner = separate_winner(summaries, largest=False)
            column = []
            for index, label in enumerate(labels):
                records = cells.get((model, label), [])
                text = cell_text(records, summaries[index])
                if which == "last" and (count := _collapsed(records)):
                    text += f"; {count} collapsed"
                if index == winner:
                    text = f"**{text}**"
                if which == "best" and (reference := paper.get((model, label))):
                    text += f" / paper {reference['fid']} ± {reference['std']}"
                column.append(text)
            columns.append(column)
    rows = [[row_label(label), *(column[index] for column in columns)] for index, label in enumerate(labels)]
    long = [_long(dataset, scale, metric, model, label, cells, paper) for model in models for label in labels]
    what = f"Table 4 on {DATASETS.get(dataset, dataset)}: {NAMES[metric]}, lower is better"
    which = "; best of a run, as the paper reports it, and last; bold: interval apart from all others"
    write_table(path, _caption(what, which, scale, metric, cells), header, rows, long)


def _long(
    dataset: str, scale: str, metric: str, model: str, label: str, cells: Cells,
    paper: dict[tuple[str, str], dict[str, Any]],
) -> dict[str, object]:  # fmt: skip
    records = cells.get((model, label), [])
    row: dict[str, object] = {
        "dataset": dataset, "scale": scale, "metric": metric, "model": model, "optimizer": label,
        **counts(records),
        "collapsed": _collapsed(records),
    }  # fmt: skip
    for which in ("best", "last"):
        row |= summary_fields(which, summarize(_values(records, which, metric)))
    reference = paper.get((model, label), {})
    return {**row, "paper_best": reference.get("fid", ""), "paper_std": reference.get("std", "")}


def _kid_table(path: Path, dataset: str, scale: str, metric: str, cells: Cells) -> None:
    """KID, precision and recall of the last pictures of each cell; the paper has none of them."""
    kid, name = metric.replace("fid", "kid"), NAMES[metric].replace("FID", "KID")
    factor = 1000 if metric == "fid" else 1  # of Inception's features it is small, and told in thousandths
    rows, long = [], []
    for model, label in product(models_of(cells), labels_of(cells)):
        records = cells.get((model, label), [])
        row = [MODELS[model], row_label(label)]
        one = {"dataset": dataset, "scale": scale, "model": model, "optimizer": label, **counts(records)}
        finals = [record.summary["final"] for record in records if record.status == "done"]
        for key, times in ((kid, factor), ("precision", 1), ("recall", 1)):
            summary = summarize([times * final[f"test/{key}"] for final in finals if f"test/{key}" in final])
            row.append(cell_text(records, summary))
            one |= summary_fields(key if times == 1 else f"{key}_x{times}", summary)
        rows.append(row)
        long.append(one)
    what = f"{DATASETS.get(dataset, dataset)}, the last pictures: {name}, lower is better, precision and recall"
    header = ["GAN", "optimizer", name if factor == 1 else f"{name} × {factor}", "precision", "recall"]
    write_table(path, _caption(what, "", scale, metric, cells), header, rows, long)


def _budget(config: dict[str, Any]) -> str:
    text = f"{config['steps']} generator steps, batch {config['batch_size']}, width {config['width']}"
    return f"{text}, {config['precision']}, lr {config['lr']:g}"


def _caption(what: str, which: str, scale: str, metric: str, cells: Cells) -> str:
    records = [record for group in cells.values() for record in group]
    told = budgets_text(cells, _budget)
    if any(record.config["lr"] != PAPER_LR for record in records):
        told += f"; the paper's lr is {PAPER_LR:g}"
    facts: dict[str, Any] = next((record.summary["fid"] for record in records if "fid" in record.summary), {})
    seen = f"{facts.get('n_fake')} generated against {facts.get('n_real')} test images, {facts.get('dims')} features"
    if metric == "feature_fid":
        top1 = facts.get("classifier_top1", float("nan"))
        seen += f" of a classifier of the same data, test top-1 {top1:.2f} %; not comparable with any published FID"
    spread = "mean ± std (n) and 95 % interval over seeds"
    return f"{what} ({seen}), {spread}{which}. Scale: {scale} ({told}). {provenance(records)}"


def _figure(path: Path, dataset: str, scale: str, metric: str, cells: Cells) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    models, paper = models_of(cells), published(dataset, scale, metric)
    with subplots(path, 1, len(models), figsize=(2.9 * len(models), 2.9)) as (figure, axes):
        for axis, model in zip(axes[0], models, strict=True):
            for label in labels_of({cell: group for cell, group in cells.items() if cell[0] == model}):
                style = look(label.split(" ")[0])
                curves = [r.curve("test", metric, "step") for r in cells[model, label] if r.status in FINISHED]
                if not len(draw_runs(axis, curves, style, row_label(label))):
                    continue
                if reference := paper.get((model, label)):
                    axis.axhline(float(reference["fid"]), color=style.color, lw=0.5, alpha=0.6)
            axis.set(title=MODELS[model], xlabel="generator steps", yscale="log")
            low, high = axis.get_ylim()
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(5))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axes[0][0].set_ylabel(f"{NAMES[metric]} (log)")
        legend_below(figure, axes)
        note = "; thin: the paper's best" if paper else ""
        figure.suptitle(f"{DATASETS.get(dataset, dataset)}, scale {scale}{note}", fontsize=9)


def _samples(path: Path, dataset: str, scale: str, metric: str, optimizer: str, cells: Cells) -> bool:
    """A page with the last sample picture of the first seed of every cell of an optimizer; False if there is none."""
    from matplotlib.image import imread

    pictures = []
    for model, label in sorted(cells, key=lambda cell: (list(MODELS).index(cell[0]), cell[1])):
        record = cells[model, label][0]
        files = sorted((record.path / "samples").glob("grid-*.png"))
        if label.split(" ")[0] == optimizer and files:
            value = record.summary["final"].get(f"test/{metric}")
            number = "not finite" if value is None else f"{value:.1f}"
            step = int(files[-1].stem.split("-")[1])
            setting = label.partition(" ")[2]
            title = f"{MODELS[model]}, seed {record.summary['seed']}, step {step}: {NAMES[metric]} {number} {setting}"
            pictures.append((imread(files[-1]), title.strip()))
    if not pictures:
        return False
    rows = -(-len(pictures) // 2)
    with subplots(path, rows, 2, figsize=(6.8, 0.4 + 2.9 * rows)) as (figure, axes):
        for axis in axes.flat:
            axis.axis("off")
        for axis, (picture, title) in zip(axes.flat, pictures, strict=False):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(title, fontsize=7, wrap=True)
        name = DATASETS.get(dataset, dataset)
        figure.suptitle(f"{look(optimizer).label} on {name}, scale {scale}: samples, not selected", fontsize=9)
    return True
