"""The tests of what the paper says about rankings, by the name that results/paper/statements.yaml calls them, and the
test of a table's value. Each gives an `Outcome`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from acprop.report.claims import rules
from acprop.report.claims.evidence import Evidence, Study, one_setting
from acprop.report.claims.published import BEST, Cell, cells
from acprop.report.records import cell_text, row_label
from acprop.report.stats import summarize
from acprop.report.style import dataset_name
from acprop.runs.record import Record


@dataclass(frozen=True)
class Outcome:
    """What the records say to a claim.

    ours: at the paper's scale and on its data, in words; small: what came out otherwise, never to be set against the
    paper. value, low, high: what was judged, or in small what came out, as `scale` and `data` say.
    """

    verdict: str
    ours: str = ""
    small: str = ""
    published: str = ""
    value: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    scale: str = ""
    data: str = ""
    records: list[Record] = field(default_factory=list)


def value(evidence: Evidence, cell: Cell) -> Outcome:
    """A number of a table: does ours lie within the margin around it?"""
    metric = rules.METRICS[cell.metric]
    full, small = evidence.studies(cell.task, cell.dataset, cell.model, cell.part, [cell.own])
    told = "; ".join(f"{study.where}: {_cell_told(study.records, metric)}" for study in small)
    records = [record for study in small for record in study.records]
    shown = full or (small[0] if small else None)
    if shown is None:
        return Outcome(rules.NOT_RUN)
    summary = summarize([metric.of(record) for record in shown.records if record.status == "done"])
    numbers: dict[str, Any] = {name: getattr(summary, name, None) for name in ("std", "low", "high", "n")}
    numbers |= {"value": getattr(summary, "mean", None), "scale": shown.scale, "data": shown.dataset, "small": told}
    if full is None:
        return Outcome(rules.SMALL_SCALE, records=records, **numbers)
    verdict = rules.of_value(summary, cell.value, metric.margin(cell.value))
    return Outcome(verdict, _cell_told(full.records, metric), records=full.records + records, **numbers)


def _cell_told(records: list[Record], metric: rules.Metric) -> str:
    return cell_text(records, summarize([metric.of(record) for record in records if record.status == "done"]), 2)


def ranking(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, rivals: Sequence[str]
) -> Outcome:
    """Is `subject` better than every rival?"""
    measure, names = rules.METRICS[metric], [subject, *rivals]
    full, small = evidence.studies(task, dataset, model, part, names)
    return _ranked(full, small, names, measure, _published_order(part, task, dataset, model, measure))


def against_lrs(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, lr: float,
    rival: str, lrs: Sequence[float],
) -> Outcome:  # fmt: skip
    """Is `subject` at its one learning rate better than `rival` at each of many?"""
    wanted = {subject: (subject, lr), **{f"{rival} lr {rate:g}": (rival, rate) for rate in lrs}}

    def study(data: str, scale: str, records: list[Record]) -> Study | None:
        cells = {}
        for name, key in wanted.items():
            own = [r for r in records if (r.summary["optimizer"], r.config["optimizer"]["lr"]) == key]
            if kept := one_setting(own, published=False):
                cells[name] = kept
        return Study(data, scale, cells) if subject in cells and len(cells) > 1 else None  # else nothing to compare

    full, small = evidence.groups(task, dataset, model, part)
    several = [found for (data, scale), records in small.items() if (found := study(data, scale, records))]
    return _ranked(study(dataset, "paper", full), several, list(wanted), rules.METRICS[metric])


def settings(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, rival: str,
    keys: Sequence[str],
) -> Outcome:  # fmt: skip
    """Is `subject` better than `rival` at the same setting, over the settings that both ran?"""
    measure = rules.METRICS[metric]

    def pairs(records: list[Record]) -> tuple[int, int, list[Record]]:
        by_setting: dict[tuple[Any, ...], dict[str, list[Record]]] = {}
        for record in records:
            name = record.summary["optimizer"]
            if name in (subject, rival):
                setting = tuple(record.config["optimizer"].get(key) for key in keys)
                by_setting.setdefault(setting, {}).setdefault(name, []).append(record)
        wins = losses = 0
        used: list[Record] = []
        for found in by_setting.values():
            sides = [one_setting(found.get(name, []), published=False) for name in (subject, rival)]
            if not all(sides):
                continue
            used += sides[0] + sides[1]
            # the sign makes larger better, so that a run that diverged, minus infinity, is worse than any
            sign = 1 if measure.largest else -1
            ours, theirs = (fmean(sign * _worth(record, measure) for record in side) for side in sides)
            wins, losses = wins + (ours > theirs), losses + (ours < theirs)
        return wins, losses, used

    full, small = evidence.groups(task, dataset, model, part)
    told, records = [], []
    for (data, scale), group in small.items():
        wins, losses, used = pairs(group)
        if wins + losses > 1:  # at one setting this is no sweep
            told.append(f"{dataset_name(data)}, {scale}: better at {wins}, worse at {losses} settings")
            records += used
    wins, losses, used = pairs(full)
    if wins + losses > 1:
        text = f"better at {wins}, worse at {losses} settings"
        return Outcome(
            rules.of_settings(wins, losses), text, "; ".join(told), value=wins / (wins + losses), n=wins + losses,
            scale="paper", data=dataset, records=used + records,
        )  # fmt: skip
    return Outcome(rules.SMALL_SCALE if told else rules.NOT_RUN, small="; ".join(told), records=records)


def untested(evidence: Evidence, part: str) -> Outcome:
    return Outcome(rules.NOT_RUN)


# -- shared ----------------------------------------------------------------------------------------------------------


def _worth(record: Record, metric: rules.Metric) -> float:
    """What a run is worth in a ranking: one that diverged is the worst there is."""
    if record.status == "done":
        return metric.of(record)
    return float("-inf") if metric.largest else float("inf")


def _ranked(
    full: Study | None, small: list[Study], names: Sequence[str], metric: rules.Metric, published: str = ""
) -> Outcome:
    """Whether the first of `names` is better than the others: judged in `full`, told in words of each of `small`."""
    subject, *rivals = names
    told = "; ".join(f"{study.where} {_order_told(_values(study, metric), metric, subject)}" for study in small)
    records = [record for study in small for record in study.records]
    if full is None:
        verdict = rules.SMALL_SCALE if small else rules.NOT_RUN
        scale, data = (small[0].scale, small[0].dataset) if small else ("", "")
        return Outcome(verdict, small=told, published=published, records=records, scale=scale, data=data)
    values = _values(full, metric)
    ours = values.get(subject, [])
    comparisons = rules.compare(ours, {name: values.get(name, []) for name in rivals}, metric.largest)
    known = {name: comparison for name, comparison in comparisons.items() if comparison}
    each = [f"{_label(name)} {p:.2f} [{low:.2f}, {high:.2f}]" for name, (p, low, high) in known.items()]
    if missing := [f"{_label(name)} (n = {len(values.get(name, []))})" for name in rivals if name not in known]:
        each.append(f"not compared, below five runs: {', '.join(missing)}")
    head = f"P({_label(subject)} better, n = {len(ours)}): " if known else ""
    weakest = dict(zip(("value", "low", "high"), min(known.values(), default=(None, None, None)), strict=True))
    return Outcome(
        rules.of_best(comparisons), head + "; ".join(each), told, published, n=len(ours), scale=full.scale,
        data=full.dataset, records=full.records + records, **weakest,
    )  # fmt: skip


def _values(study: Study, metric: rules.Metric) -> dict[str, list[float]]:
    return {name: [_worth(record, metric) for record in records] for name, records in study.cells.items()}


def _order_told(values: dict[str, list[float]], metric: rules.Metric, subject: str) -> str:
    """`(n = 3): AdaBelief 89.6 > ACProp 89.6 > Adam 86.1`: the order of the means."""
    means = {name: fmean(found) for name, found in values.items()}
    ranked = sorted(means, key=lambda name: (-means[name] if metric.largest else means[name], name))
    counts = sorted({len(found) for found in values.values()})
    n = f"{counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
    place = f"{_label(subject)} is {ranked.index(subject) + 1} of {len(ranked)}" if subject in means else (
        f"{_label(subject)} not run"
    )  # fmt: skip
    told = {name: f"{mean:.4g}" if math.isfinite(mean) else "diverged" for name, mean in means.items()}
    order = (" > " if metric.largest else " < ").join(f"{_label(name)} {told[name]}" for name in ranked)
    return f"(n = {n}): {place}; {order}"


def _published_order(part: str, task: str, dataset: str, model: str, metric: rules.Metric) -> str:
    """What the published numbers themselves say: the same ranking, best first."""
    row = [c for c in cells() if (c.part, c.task, c.dataset, c.model) == (part, task, dataset, model)]
    ranked = sorted(row, key=lambda c: -c.value if metric.largest else c.value)
    return (" > " if metric.largest else " < ").join(f"{_label(c.optimizer)} {c.value:g}" for c in ranked)


def _label(name: str) -> str:
    """`adashift lr 0.1` and `sgd_best_in_literature` as people write them."""
    own = name.removesuffix(BEST)
    return row_label(own) + ("" if own == name else " (best in literature)")
