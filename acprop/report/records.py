"""What every report asks of records: which belong to one cell of a table, and where they came from."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from acprop.report.settings import borrowed
from acprop.report.stats import Summary
from acprop.report.style import MODELS, dataset_name, look, model_name, order
from acprop.runs.identity import flatten, identity
from acprop.runs.record import ENDED, FINISHED, Record

Cells = dict[tuple[str, str], list[Record]]


def by_budget(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    """(dataset, scale label) -> the records that have ended, however they ended: one table or figure each."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status in ENDED:
            # files that are not the published ones are not the published data set
            own = "" if record.summary.get("published_data", True) else "-own=files"
            groups[record.summary["dataset"], record.summary["scale"] + own].append(record)
    return dict(sorted(groups.items()))


def file_name(stem: str, dataset: str, scale: str) -> str:
    """`fig6_cifar10` at the paper's scale, `fig6_digits_laptop` below it."""
    return f"{stem}_{dataset}" + ("" if scale == "paper" else f"_{scale}")


def failed(record: Record) -> bool:
    """Whether a run is a failure in every value and ranking: it diverged, collapsed, or classifies as chance does."""
    return record.status != "done" or bool(record.summary.get("collapsed")) or at_chance(record)


def at_chance(record: Record) -> bool:
    """Whether the last test accuracy is within five standard deviations of guessing."""
    top1 = record.summary["final"].get("test/top1", record.summary["final"].get("validation/top1"))
    images, classes = record.summary.get("test_size"), record.summary.get("num_classes")
    if top1 is None or not images or not classes:
        return False
    chance = 1 / classes
    return top1 <= 100 * (chance + 5 * math.sqrt(chance * (1 - chance) / images))


def by_cell(records: Iterable[Record]) -> Cells:
    """(model, row label) -> records. A row is an optimizer; where one was run with several settings, the label names
    what differs."""
    by_optimizer: Cells = defaultdict(list)
    for record in records:
        by_optimizer[record.summary["model"], record.summary["optimizer"]].append(record)
    cells: Cells = defaultdict(list)
    for (model, optimizer), group in by_optimizer.items():
        settings = {cell: flatten(identity(record.config)) for cell, record in {r.hash: r for r in group}.items()}
        keys = {key for one in settings.values() for key in one}
        differing = sorted(key for key in keys if len({repr(one.get(key)) for one in settings.values()}) > 1)
        for record in group:
            values = settings[record.hash]
            suffix = ", ".join(f"{key.removeprefix('optimizer.')}={values.get(key)}" for key in differing)
            cells[model, optimizer + (f" ({suffix})" if suffix else "")].append(record)
    return cells


def models_of(cells: Collection[tuple[str, str]]) -> list[str]:
    """The models of some cells, in the paper's order, then those that it does not have."""
    found = {model for model, _ in cells}
    return [*(model for model in MODELS if model in found), *sorted(found - MODELS.keys())]


def labels_of(cells: Cells, always: Iterable[str] = ()) -> list[str]:
    """Row labels in the paper's order. Those of `always` are there even if nothing was run; but an optimizer that
    appears only as several settings needs no empty row of its own."""
    labels = {label for _, label in cells}
    split_up = {label.split(" ")[0] for label in labels if " " in label} - labels
    return sorted({*always, *labels} - split_up, key=lambda label: (order(label.split(" ")[0]), _by_value(label)))


def _by_value(label: str) -> list[tuple[float, str]]:
    """A key by which lr=1e-05 comes before lr=0.001, and words come in their order after numbers."""
    parts = re.split(r"(?<==)([^,)]+)", label)
    return [(float(part), "") if re.fullmatch(r"-?[\d.]+(e-?\d+)?", part) else (math.inf, part) for part in parts]


def row_label(label: str) -> str:
    """`adam (lr=0.1)` as people write it: `Adam (lr=0.1)`."""
    name, _, rest = label.partition(" ")
    return " ".join(filter(None, [look(name).label, rest]))


def cell_text(records: list[Record] | None, summary: Summary | None, digits: int = 2) -> str:
    """Mean, spread and interval of what ended well, and how many did not."""
    if not records:
        return "not run"
    notes = []
    for status in ("diverged", "failed", "interrupted"):
        if count := sum(record.status == status for record in records):
            notes.append(f"{count} {status}")
    text = f"{summary.text(digits)} {summary.interval(digits)}".strip() if summary else ""
    return "; ".join(filter(None, [text, *notes]))


def counts(records: Iterable[Record]) -> dict[str, object]:
    """For a CSV: the seeds of the runs that ended well, and how many ended how."""
    records = list(records)
    seeds = " ".join(str(record.summary["seed"]) for record in records if record.status == "done")
    return {"seeds": seeds, **{status: sum(record.status == status for record in records) for status in ENDED}}


def summary_fields(name: str, summary: Summary | None) -> dict[str, object]:
    """For a CSV: `<name>_mean`, `_std`, `_low`, `_high`; empty where there is none."""
    values = {field: getattr(summary, field, None) for field in ("mean", "std", "low", "high")}
    return {f"{name}_{field}": "" if value is None else round(value, 4) for field, value in values.items()}


def budgets_text(cells: Cells, text: Callable[[dict[str, Any]], str]) -> str:
    """What a caption says of the models' budgets, `text` of a config: what all share once, then what each has."""
    told: dict[str, list[str]] = defaultdict(list)
    for model in models_of(cells):
        told[text(next(group[0].config for cell, group in cells.items() if cell[0] == model))].append(model_name(model))
    words = [budget.split(", ") for budget in told]
    shared = [word for word in words[0] if len(told) > 1 and all(word in others for others in words)]
    parts = [", ".join(shared)] if shared else []
    for own, models in zip(words, told.values(), strict=True):
        if rest := [word for word in own if word not in shared]:
            parts.append(f"{', '.join(models)}: {', '.join(rest)}")
    return "; ".join(parts)


def runs_told(cells: Cells) -> str:
    """How many runs the cells have, for a title: `n = 5`, or `n = 1 to 5`."""
    counts = sorted({len([record for record in group if record.status in FINISHED]) for group in cells.values()})
    return f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"


def settings_told(records: list[Record]) -> str:
    """Whose settings were borrowed, for a caption."""
    sources = sorted({dataset_name(of) for record in records if (of := borrowed(record))})
    return f" Settings of the optimizers: those of {', '.join(sources)}, borrowed." if sources else ""


def hardware(record: Record) -> str:
    return f"{record.summary.get('device')}, {record.summary.get('threads')} thread(s)"


def provenance(records: Iterable[Record]) -> str:
    """The hardware and the code that produced the records, as a caption tells it."""
    records = list(records)
    devices = {hardware(record) for record in records}
    commits = {str(record.summary.get("commit")) for record in records}
    return f"Hardware: {', '.join(sorted(devices))}. Code: {', '.join(sorted(commits))}."
