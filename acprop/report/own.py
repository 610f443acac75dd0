"""A user's own runs beside the published ones, cell by cell: equal, within the spread of the seeds, or outside it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

from acprop.report.artefacts import OTHER, Artefact, Cell, table
from acprop.report.style import dataset_name, look, model_name
from acprop.runs.record import FINISHED, Record

Cells = dict[tuple[str, ...], list[Record]]


def apart(own: Iterable[Record], published: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """(own runs of cells that are published, the other own runs)."""
    cells = {record.key[:-1] for record in published}
    twins: list[Record] = []
    others: list[Record] = []
    for record in own:
        (twins if record.key[:-1] in cells else others).append(record)
    return twins, others


def beside(twins: Sequence[Record], published: Iterable[Record]) -> Iterable[Artefact]:
    """One table: a row for each own run of a cell that is published; none without such runs."""
    cells: Cells = defaultdict(list)
    for record in published:
        cells[record.key[:-1]].append(record)
    ended = [record for record in twins if record.status in FINISHED]
    if not ended:
        return
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for own in sorted(ended, key=lambda record: record.folder):
        group, metric, s = cells[own.key[:-1]], judged_by(own), own.summary
        same = next((record for record in group if record.key == own.key), None)
        ours, theirs = _value(own, metric), None if same is None else _value(same, metric)
        others = [value for record in group if (value := _value(record, metric)) is not None]
        verdict = compare(own, same, ours, others)
        names = [s["task"], dataset_name(s["dataset"]), model_name(s["model"]), look(s["optimizer"]).label]
        told = [f"{s['seed']}", metric, _told(ours), _told(theirs), _spread(others), verdict]
        rows.append([*names, *map(Cell, told[:2]), Cell(told[2], records=[own]), *told[3:]])
        long.append({"run": own.folder, "metric": metric, "own": ours, "published": theirs, "verdict": verdict})
    caption = (
        "Your runs of cells that are published: equal, all last values are the same; within the spread, the value lies "
        "in the 95 % prediction interval of one more seed beside the published ones; outside it, it does not. Numbers "
        "of single seeds differ from one kind of processor to another."
    )
    header = ["task", "data", "model", "optimizer", "seed", "value", "yours", "published, same seed", "published", ""]
    yield table("yours", OTHER, caption, ended, header, rows, long)


def judged_by(record: Record) -> str:
    """The value that a run selects its best epoch by; else the first that it logged."""
    words = (record.summary.get("selection") or "").split(" ")
    return words[2] if len(words) > 2 else next(iter(record.summary["final"]), "")


def compare(own: Record, same: Record | None, value: float | None, others: Sequence[float]) -> str:
    if same is not None and own.summary["final"] == same.summary["final"] and own.status == same.status:
        return "equal"
    if value is None or not others:
        return "the same: it diverged" if same is not None and own.status == same.status else "outside the spread"
    if len(others) < 2:
        return "another value; one published run has no spread"
    from scipy.special import stdtrit

    n = len(others)
    half = float(stdtrit(n - 1, 0.975)) * stdev(others) * math.sqrt(1 + 1 / n)
    return "within the spread" if abs(value - fmean(others)) <= half else "outside the spread"


def _value(record: Record, metric: str) -> float | None:
    return record.summary["final"].get(metric) if record.status == "done" else None


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _spread(values: Sequence[float]) -> str:
    """Nothing of no values: a published cell may have diverged in every seed."""
    if not values:
        return ""
    return f"{fmean(values):.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "") + f" ({len(values)})"
