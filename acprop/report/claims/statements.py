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
from acprop.report.style import DATASETS
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
    told = "; ".join(f"{study.where} {_order(study, measure, subject)}" for study in small)
    published = _published_order(part, task, dataset, model, measure)
    records = [record for study in small for record in study.records]
    if full is None:
        verdict = rules.SMALL_SCALE if small else rules.NOT_RUN
        scale, data = (small[0].scale, small[0].dataset) if small else ("", "")
        return Outcome(verdict, small=told, published=published, records=records, scale=scale, data=data)
    values = {name: [_worth(record, measure) for record in full.cells.get(name, [])] for name in names}
    outcome = _judge(values, subject, measure.largest)
    return Outcome(
        **outcome, small=told, published=published, scale=full.scale, data=dataset, records=full.records + records
    )


def against_lrs(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, lr: float,
    rival: str, lrs: Sequence[float],
) -> Outcome:  # fmt: skip
    """Is `subject` at its one learning rate better than `rival` at each of many?"""
    measure = rules.METRICS[metric]

    def values(records: list[Record]) -> dict[str, list[float]]:
        wanted = {subject: (subject, lr), **{f"{rival} lr {rate:g}": (rival, rate) for rate in lrs}}
        found = {
            name: one_setting(
                [r for r in records if (r.summary["optimizer"], r.config["optimizer"]["lr"]) == key], published=False
            )
            for name, key in wanted.items()
        }
        used.extend(record for group in found.values() for record in group)
        return {name: [_worth(record, measure) for record in group] for name, group in found.items()}

    used: list[Record] = []
    full, small = evidence.groups(task, dataset, model, part)
    everywhere = {key: values(records) for key, records in small.items()}
    # without both sides there is nothing to tell
    several = {key: found for key, found in everywhere.items() if found[subject] and sum(map(bool, found.values())) > 1}
    told = "; ".join(
        f"{DATASETS.get(data, data)}, {scale} {_order_told(found, measure, subject)}"
        for (data, scale), found in several.items()
    )
    if not several:
        used.clear()
    found = values(full)
    if found[subject] and sum(map(bool, found.values())) > 1:
        return Outcome(**_judge(found, subject, measure.largest), small=told, scale="paper", data=dataset, records=used)
    return Outcome(rules.SMALL_SCALE if told else rules.NOT_RUN, small=told, records=used if told else [])


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
            told.append(f"{DATASETS.get(data, data)}, {scale}: better at {wins}, worse at {losses} settings")
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


def _judge(values: dict[str, list[float]], subject: str, largest: bool) -> dict[str, Any]:
    rivals = {name: found for name, found in values.items() if name != subject}
    comparisons = rules.compare(values[subject], rivals, largest)
    known = {name: comparison for name, comparison in comparisons.items() if comparison}
    told = [f"{_label(name)} {p:.2f} [{low:.2f}, {high:.2f}]" for name, (p, low, high) in known.items()]
    if missing := [f"{_label(name)} (n = {len(values[name])})" for name in comparisons if name not in known]:
        told.append(f"not compared, below five runs: {', '.join(missing)}")
    weakest = min(known.values(), default=(None, None, None))
    head = f"P({_label(subject)} better, n = {len(values[subject])}): " if known else ""
    return {
        "verdict": rules.of_best(comparisons), "ours": head + "; ".join(told), "n": len(values[subject]),
        **dict(zip(("value", "low", "high"), weakest, strict=True)),
    }  # fmt: skip


def _order(study: Study, metric: rules.Metric, subject: str) -> str:
    values = {name: [_worth(record, metric) for record in records] for name, records in study.cells.items()}
    return _order_told(values, metric, subject)


def _order_told(values: dict[str, list[float]], metric: rules.Metric, subject: str) -> str:
    """`(n = 3): AdaBelief 89.6 > ACProp 89.6 > Adam 86.1`: the order of the means."""
    means = {name: fmean(found) for name, found in values.items() if found}
    ranked = sorted(means, key=lambda name: (-means[name] if metric.largest else means[name], name))
    counts = sorted({len(found) for found in values.values() if found})
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
