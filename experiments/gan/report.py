"""Table 4 of the paper: FID of four GANs under five optimizers, as table, as curves over generator steps, and as a page
of samples per optimizer, and a table of KID, precision and recall; a set for every data set, scale and metric that has
records. Feature FID, the distance seen by a classifier of the data set itself, has files of its own and never stands
beside the paper's numbers."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

from acprop.report import PUBLISHED, comparisons, tuning
from acprop.report.again import again
from acprop.report.artefacts import Artefact, Cell, figure, table
from acprop.report.cells import Measure, Reference, column, fields, wide
from acprop.report.figures import draw_runs, head, legend_below, subplots
from acprop.report.records import (
    Cells,
    budgets_text,
    by_budget,
    by_cell,
    file_name,
    labels_of,
    models_of,
    provenance,
    row_label,
    runs_told,
    settings_told,
)
from acprop.report.settings import tunes
from acprop.report.stats import POSITIVE, SHARE
from acprop.report.style import dataset_name, look, model_name
from acprop.runs.conf import roster
from acprop.runs.record import FINISHED, Record

METRICS = {"inception": "fid", "classifier": "feature_fid"}
NAMES = {"fid": "FID", "feature_fid": "feature FID"}
PAPER_LR = 2e-4
Paper = dict[tuple[str, str], dict[str, Any]]  # (model, optimizer) -> the paper's FID


def artefacts(records: list[Record]) -> Iterator[Artefact]:
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for (dataset, scale), group in by_budget(records).items():
        for record in group:
            groups[dataset, scale, METRICS[record.config["fid_network"]]].append(record)
    for (dataset, scale, metric), group in groups.items():
        stem = "table4" if metric == "fid" else f"table4_{metric}"
        if reported := [record for record in group if not tunes(record)]:
            yield from _of_one(file_name(stem, dataset, scale), dataset, scale, metric, reported)
        if tried := [record for record in group if tunes(record)]:
            names = file_name(f"{stem}_tuning", dataset, scale), file_name(f"{stem}_tuning_settings", dataset, scale)
            where = f"Table 4 on {dataset_name(dataset)}"
            yield from tuning.artefacts(names, "table4", where, tried, records, _held_out(metric), _budget)


def _of_one(name: str, dataset: str, scale: str, metric: str, records: list[Record]) -> Iterator[Artefact]:
    cells, paper = by_cell(records), published(dataset, scale, metric)
    caption = partial(_caption, scale=scale, metric=metric, cells=cells)
    what = f"Table 4 on {dataset_name(dataset)}: {NAMES[metric]}, lower is better"
    which = "; best of a run, as the paper reports it, and last; bold: interval apart from all others"
    rows = wide(
        cells, models_of(cells), labels_of(cells, roster("table4")), _measures(metric),
        {"dataset": dataset, "scale": scale, "metric": metric}, _references(paper) if paper else None, note=_collapsed,
    )  # fmt: skip
    yield table(name, "table4", caption(what, which), records, *rows)
    kid = NAMES[metric].replace("FID", "KID")
    what = f"{dataset_name(dataset)}, the last pictures: {kid}, lower is better, precision and recall"
    yield table(f"{name}_kid", "table4", caption(what, ""), records, *_kid(dataset, scale, metric, cells))
    score = comparisons.Score(f"best {NAMES[metric]}", lambda r: r.summary["best"]["value"], False, ("test", metric))
    yield from comparisons.of_cells(name, "table4", f"Table 4 on {dataset_name(dataset)}, scale {scale}", cells, score)
    shown = f"{NAMES[metric]} over generator steps on {dataset_name(dataset)}, scale {scale}; band: range over seeds"
    yield figure(name, "table4", shown, records, lambda: _figure(dataset, scale, metric, cells, paper))
    for optimizer in sorted({label.split(" ")[0] for _, label in cells}):
        pictures = _pictures(optimizer, metric, cells)
        if pictures:
            shown = f"{look(optimizer).label} on {dataset_name(dataset)}, scale {scale}: samples, not selected"
            of = [record for record, _, _ in pictures]
            yield figure(f"{name}_samples_{optimizer}", "table4", shown, of, partial(_samples, shown, pictures))


def _held_out(metric: str) -> comparisons.Score:
    of = f"validation/{metric}"
    name = f"{NAMES[metric]} to held-out images"
    return comparisons.Score(name, lambda r: r.summary["final"][of], False, ("validation", metric))


def published(dataset: str, scale: str, metric: str) -> Paper:
    """Only FID of published files on CIFAR-10 may stand beside the paper's."""
    if dataset != "cifar10" or metric != "fid" or "own=files" in scale:
        return {}
    with (PUBLISHED / "table4_gan.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def _measures(metric: str) -> list[Measure]:
    def best(record: Record) -> float | None:
        return record.summary["best"].get("value") if record.summary["best"] else None

    def last(record: Record) -> float | None:
        return record.summary["final"].get(f"test/{metric}")

    return [Measure(name, name, of, False, bounds=POSITIVE) for name, of in (("best", best), ("last", last))]


def _references(paper: Paper) -> Callable[[str, str, Measure], Reference | None]:
    def reference(model: str, label: str, measure: Measure) -> Reference | None:
        row = paper.get((model, label))
        if not row or measure.key != "best":
            return None
        return Reference(f"{row['fid']} ± {row['std']}", {"paper_best": row["fid"], "paper_std": row["std"]})

    return reference


def _collapsed(records: Sequence[Record], measure: Measure) -> str:
    count = sum(bool(record.summary.get("collapsed")) for record in records)
    return f"; {count} collapsed" if count and measure.key == "last" else ""


def _kid(
    dataset: str, scale: str, metric: str, cells: Cells
) -> tuple[list[str], list[list[Cell]], list[dict[str, object]]]:
    """KID, precision and recall of the last pictures of each cell; the paper has none of them."""
    kid, name = metric.replace("fid", "kid"), NAMES[metric].replace("FID", "KID")
    factor = 1000 if metric == "fid" else 1  # of Inception's features it is small, and told in thousandths

    def value(key: str, times: int = 1) -> Callable[[Record], float | None]:
        def of(record: Record) -> float | None:
            found = record.summary["final"].get(f"test/{key}")
            return None if found is None else times * found

        return of

    measures = [
        Measure(name if factor == 1 else f"{name} × {factor}", kid if factor == 1 else f"{kid}_x{factor}",
                value(kid, factor), None),
        Measure("precision", "precision", value("precision"), None, bounds=SHARE),
        Measure("recall", "recall", value("recall"), None, bounds=SHARE),
    ]  # fmt: skip
    rows, long = [], []
    for model, label in product(models_of(cells), labels_of(cells)):
        group = cells.get((model, label), [])
        rows.append([Cell(model_name(model)), Cell(row_label(label)), *(column([group], m)[0] for m in measures)])
        lead = {"dataset": dataset, "scale": scale, "model": model, "optimizer": label}
        long.append({**lead, **fields(group, measures)})
    return ["GAN", "optimizer", *(measure.name for measure in measures)], rows, long


def _budget(config: dict[str, Any]) -> str:
    text = f"{config['steps']} generator steps, batch {config['batch_size']}, width {config['width']}"
    lr = f", lr {config['lr']:g}" if config["optimizer"]["lr"] == config["lr"] else ""  # else each has its own
    return f"{text}, {config['precision']}{lr}"


def _caption(what: str, which: str, scale: str, metric: str, cells: Cells) -> str:
    records = [record for group in cells.values() for record in group]
    told = budgets_text(cells, _budget)
    if any(record.config["optimizer"]["lr"] == record.config["lr"] != PAPER_LR for record in records):
        told += f"; the paper's lr is {PAPER_LR:g}"
    facts: dict[str, Any] = next((record.summary["fid"] for record in records if "fid" in record.summary), {})
    seen = f"{facts.get('n_fake')} generated against {facts.get('n_real')} test images, {facts.get('dims')} features"
    if metric == "feature_fid":
        top1 = facts.get("classifier_top1", float("nan"))
        seen += f" of a classifier of the same data, test top-1 {top1:.2f} %; not comparable with any published FID"
    spread = "mean ± std (n) and 95 % interval over seeds"
    borrowed = settings_told(records)
    ends = comparisons.ends_told(cells, ("test", metric))
    return (
        f"{what} ({seen}), {spread}{which}. Scale: {scale} ({told}).{borrowed} {ends}{again(records)}"
        f"{provenance(records)}"
    )


def _figure(dataset: str, scale: str, metric: str, cells: Cells, paper: Paper) -> Any:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    models = models_of(cells)
    canvas, axes = subplots(1, len(models), figsize=(max(4.2, 2.9 * len(models)), 2.9))
    for axis, model in zip(axes[0], models, strict=True):
        for label in labels_of({cell: group for cell, group in cells.items() if cell[0] == model}):
            style = look(label.split(" ")[0])
            curves = [r.curve("test", metric, "step") for r in cells[model, label] if r.status in FINISHED]
            if not len(draw_runs(axis, curves, style, row_label(label))):
                continue
            if reference := paper.get((model, label)):
                axis.axhline(float(reference["fid"]), color=style.color, lw=0.5, alpha=0.6)
        axis.set(title=model_name(model), xlabel="generator steps", yscale="log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(5))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axes[0][0].set_ylabel(f"{NAMES[metric]} (log)")
    legend_below(canvas, axes)
    note = "; thin: the paper's best" if paper else ""
    told = f"scale {scale} ({budgets_text(cells, _budget)})"
    head(canvas, f"{dataset_name(dataset)}, {told}, {runs_told(cells)}{note}")
    return canvas


def _pictures(optimizer: str, metric: str, cells: Cells) -> list[tuple[Record, str, str]]:
    """(run, name of its last picture, title) of the first seed of every cell of an optimizer."""
    found = []
    for model in models_of(cells):
        for label in sorted(label for m, label in cells if m == model and label.split(" ")[0] == optimizer):
            record = cells[model, label][0]
            names = record.names("samples/grid-*.png")
            if names:
                value = record.summary["final"].get(f"test/{metric}")
                number = "not finite" if value is None else f"{value:.1f}"
                step = int(names[-1].removesuffix(".png").rpartition("-")[2])
                title = f"{model_name(model)}, seed {record.summary['seed']}, step {step}: {NAMES[metric]} {number}"
                found.append((record, names[-1], f"{title} {label.partition(' ')[2]}".strip()))
    return found


def _samples(title: str, pictures: Sequence[tuple[Record, str, str]]) -> Any:
    from matplotlib.image import imread

    columns = min(2, len(pictures))
    rows = -(-len(pictures) // columns)
    canvas, axes = subplots(rows, columns, figsize=(3.4 * columns, 0.4 + 2.9 * rows))
    for axis in axes.flat:
        axis.axis("off")
    for axis, (record, name, told) in zip(axes.flat, pictures, strict=False):
        picture = record.parse(name, lambda content: imread(io.BytesIO(content)))
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(told, fontsize=7, wrap=True)
    head(canvas, title)
    return canvas
