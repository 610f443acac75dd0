"""The tests of what the paper says about values and rankings, by the name that results/paper/statements.yaml calls
them. Each gives an `Outcome`. What it says about all tasks at once is in families.py."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from acprop.report.claims import rules
from acprop.report.claims.evidence import Evidence, Study, one_setting
from acprop.report.claims.published import BEST, Cell, cells, metric_of
from acprop.report.records import failed, row_label
from acprop.report.stats import Blocks, Comparison, Summary, compare_blocks, summarize
from acprop.report.style import dataset_name
from acprop.runs.record import FINISHED, Record


@dataclass(frozen=True)
class Outcome:
    """What the records say to a claim.

    ours: at the paper's scale and on its data, in words; small: what came out otherwise, never to be set against the
    paper. value, low, high: what was judged, or in small what came out, as `scale` and `data` say. by_chance: whether
    the verdict is a test of random numbers and may be false by chance. mutants: the wrong optimizers that pass the same
    test; None where it is no test of ACProp alone, or of chance.
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
    by_chance: bool = False
    mutants: list[str] | None = None


# -- values ----------------------------------------------------------------------------------------------------------


def value(evidence: Evidence, cell: Cell) -> Outcome:
    """A number of a table: is ours the same, within the margin?"""
    metric = metric_of(cell.metric)
    full, small = evidence.studies(cell.task, cell.dataset, cell.model, cell.part, [cell.own])
    told = "; ".join(f"{study.where}: {told_of(study.records, metric)}" for study in small)
    records = [record for study in small for record in study.records]
    shown = full or (small[0] if small else None)
    if shown is None:
        return Outcome(rules.NOT_RUN)
    summary = _summary(shown.records, metric)
    numbers: dict[str, Any] = {name: getattr(summary, name, None) for name in ("std", "low", "high", "n")}
    numbers |= {"value": getattr(summary, "mean", None), "scale": shown.scale, "data": shown.dataset, "small": told}
    if full is None:
        return Outcome(rules.SMALL_SCALE, records=records, **numbers)
    failures = sum(map(failed, full.records))
    judged = rules.of_value(
        [metric.worth(record) for record in full.records], failures, cell.value, metric.margin(cell.value),
        None if odd_spread(cell) else cell.std, cell.n,
    )  # fmt: skip
    ours = f"{told_of(full.records, metric)}; {judged.told}"
    return Outcome(judged.verdict, ours, records=full.records + records, by_chance=True, **numbers)


def odd_spread(cell: Cell) -> bool:
    """Whether the published standard deviation is too small to be that of training seeds. What it is of is not told, so
    it enters no test."""
    return cell.std is not None and cell.std < metric_of(cell.metric).spread


def _summary(records: Sequence[Record], metric: rules.Metric) -> Summary | None:
    """With failed runs at the worst there is, and then without an interval: failures are not spread around a mean."""
    summary = summarize([metric.worth(record) for record in records], metric.bounds)
    return Summary(summary.n, summary.mean) if summary and any(map(failed, records)) else summary


def told_of(records: Sequence[Record], metric: rules.Metric) -> str:
    """`91.32 ± 0.11 (5) [91.18, 91.46]`; of fewer than five the runs; failed ones are counted and named."""
    good = [metric.of(record) for record in records if not failed(record)]
    failures = len(records) - len(good)
    if not failures:
        summary = summarize(good, metric.bounds)
        return f"{summary.text()} {summary.interval()}".strip() if summary else "not run"
    rest = f"; the others {', '.join(f'{score:.2f}' for score in sorted(good))}" if good else ""
    return f"{failures} of {len(records)} failed{rest}"


# -- rankings --------------------------------------------------------------------------------------------------------


def ranking(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, rivals: Sequence[str]
) -> Outcome:
    """Is `subject` better than every rival?"""
    names = [subject, *rivals]
    full, small = evidence.studies(task, dataset, model, part, names)
    row = [c for c in cells() if (c.part, c.task, c.dataset, c.model) == (part, task, dataset, model)]
    return _ranked(full, small, names, metric_of(metric), row)


def against_lrs(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, lr: float,
    rival: str, lrs: Sequence[float],
) -> Outcome:  # fmt: skip
    """Is `subject` at its one learning rate better than `rival` at each of many?"""
    wanted = {subject: (subject, lr), **{f"{rival} lr {rate:g}": (rival, rate) for rate in lrs}}

    def study(data: str, scale: str, records: list[Record]) -> Study | None:
        found = {}
        for name, key in wanted.items():
            own = [r for r in records if (r.summary["optimizer"], r.config["optimizer"]["lr"]) == key]
            if kept := one_setting(own, published=False):
                found[name] = kept
        return Study(data, scale, found) if subject in found and len(found) > 1 else None  # else nothing to compare

    full, small = evidence.groups(task, dataset, model, part)
    several = [found for (data, scale), records in small.items() if (found := study(data, scale, records))]
    return _ranked(study(dataset, "paper", full), several, list(wanted), metric_of(metric))


def _ranked(
    full: Study | None, small: list[Study], names: Sequence[str], metric: rules.Metric, row: Sequence[Cell] = ()
) -> Outcome:
    """Whether the first of `names` is better than the others: judged in `full`, told in words of each of `small`.
    `row`: the published numbers of the same."""
    subject, *rivals = names
    told = "; ".join(f"{study.where} {_order_told(values_of(study, metric), metric, subject)}" for study in small)
    records = [record for study in small for record in study.records]
    published = _published_order(row, metric)
    if full is None:
        verdict = rules.SMALL_SCALE if small else rules.NOT_RUN
        scale, data = (small[0].scale, small[0].dataset) if small else ("", "")
        return Outcome(verdict, small=told, published=published, records=records, scale=scale, data=data)
    values = values_of(full, metric)
    ours = values.get(subject, [])
    comparisons = rules.against(ours, {name: values.get(name, []) for name in rivals}, metric.largest)
    known = {name: comparison for name, comparison in comparisons.items() if comparison}
    each = [comparison_told(_label(name), comparison) for name, comparison in known.items()]
    if missing := [f"{_label(name)} (n = {len(values.get(name, []))})" for name in rivals if name not in known]:
        each.append(f"not compared, below five runs: {', '.join(missing)}")
    each += failures_told(full)
    verdict, chance = rules.of_best(comparisons), _power(full, names, metric, row)
    if chance is not None and known:
        each.append(chance[0])
        verdict = rules.TOO_FEW if verdict == rules.INCONCLUSIVE and chance[1] < rules.POWER else verdict
    head = f"P({_label(subject)} better, n = {len(ours)}): " if known else ""
    weakest = min(known.values(), key=lambda c: c.better, default=None)
    numbers: dict[str, Any] = {}
    if weakest:
        low, high = weakest.interval()
        numbers = {"value": weakest.better, "low": low, "high": high}
    return Outcome(
        verdict, head + "; ".join(each), told, published, n=len(ours), scale=full.scale, data=full.dataset,
        records=full.records + records, by_chance=True, **numbers,
    )  # fmt: skip


def comparison_told(name: str, found: Comparison) -> str:
    low, high = found.interval()
    return f"{name} {found.better:.2f} [{low:.2f}, {high:.2f}], p {found.greater:.2g}"


def failures_told(study: Study) -> list[str]:
    """`Adam: 2 of 5 failed`, of those with any."""
    counted = {name: sum(map(failed, records)) for name, records in study.cells.items()}
    return [f"{_label(name)}: {n} of {len(study.cells[name])} failed" for name, n in counted.items() if n]


def _power(study: Study, names: Sequence[str], metric: rules.Metric, row: Sequence[Cell]) -> tuple[str, float] | None:
    """The chance to see the published differences at the spread of our own runs, in words and as a number; None where
    they are not published, or do not have the subject in front, or our spread is not known."""
    published = {cell.optimizer: cell.value for cell in row}
    spreads = [
        stdev(good) ** 2
        for records in study.cells.values()
        if len(good := [metric.of(record) for record in records if not failed(record)]) > 1
    ]
    if not set(names) <= published.keys() or not spreads:
        return None
    subject, *rivals = (published[name] for name in names)
    if any((subject <= rival) if metric.largest else (subject >= rival) for rival in rivals):
        return None
    std, n = math.sqrt(fmean(spreads)), min(map(len, study.cells.values()))

    def chance(runs: int) -> float:
        return rules.ranking_power(subject, rivals, std, runs, metric.largest)

    now = chance(n)
    told = f"power to see the published differences {now:.0%}"
    if now < rules.POWER:
        could = next((runs for runs in (5, 7, 10, 15, 20, 30, 50) if chance(runs) >= rules.POWER), None)
        told += f": cannot be decided with {n} runs; {could or 'not even 50'} could"
    return told, now


def values_of(study: Study, metric: rules.Metric) -> dict[str, list[float]]:
    return {name: [metric.worth(record) for record in records] for name, records in study.cells.items()}


def _order_told(values: dict[str, list[float]], metric: rules.Metric, subject: str) -> str:
    """`(n = 3): AdaBelief 89.6 > ACProp 89.6 > Adam 86.1`: the order of the means, failed runs at the worst."""
    means = {name: fmean(found) for name, found in values.items()}
    ranked = sorted(means, key=lambda name: (-means[name] if metric.largest else means[name], name))
    counts = sorted({len(found) for found in values.values()})
    n = f"{counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
    place = f"{_label(subject)} is {ranked.index(subject) + 1} of {len(ranked)}" if subject in means else (
        f"{_label(subject)} not run"
    )  # fmt: skip
    told = {name: f"{mean:.4g}" if math.isfinite(mean) else "failed" for name, mean in means.items()}
    order = (" > " if metric.largest else " < ").join(f"{_label(name)} {told[name]}" for name in ranked)
    return f"(n = {n}): {place}; {order}"


def _published_order(row: Sequence[Cell], metric: rules.Metric) -> str:
    """What the published numbers themselves say: the same ranking, best first."""
    ranked = sorted(row, key=lambda c: -c.value if metric.largest else c.value)
    return (" > " if metric.largest else " < ").join(f"{_label(c.optimizer)} {c.value:g}" for c in ranked)


def _label(name: str) -> str:
    """`adashift lr 0.1` and `sgd_best_in_literature` as people write them."""
    own = name.removesuffix(BEST)
    return row_label(own) + ("" if own == name else " (best in literature)")


# -- settings --------------------------------------------------------------------------------------------------------


def settings(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, metric: str, subject: str, rival: str,
    block: str, keys: Sequence[str],
) -> Outcome:  # fmt: skip
    """Is `subject` better than `rival` over a sweep, in blocks of equal `block`, at the same `keys` within a block?"""
    full, small = evidence.groups(task, dataset, model, part)
    told, used = [], []
    for (data, scale), group in small.items():
        found, records = sweep(group, subject, rival, block, keys, metric_of(metric))
        if found:
            told.append(f"{dataset_name(data)}, {scale}: {_blocks_told(found, block)}")
            used += records
    found, records = sweep(full, subject, rival, block, keys, metric_of(metric))
    if not found:
        return Outcome(rules.SMALL_SCALE if told else rules.NOT_RUN, small="; ".join(told), records=used)
    verdict, text = rules.of_settings(found), _blocks_told(found, block)
    if verdict == rules.TOO_FEW:
        text += f"; cannot be decided with {found.blocks} {block} of this many seeds; two seeds each could"
    return Outcome(
        verdict, text, "; ".join(told), value=found.better, n=found.cells, scale="paper", data=dataset,
        records=records + used, by_chance=True,
    )  # fmt: skip


def sweep(
    records: Sequence[Record], subject: str, rival: str, block: str, keys: Sequence[str], metric: rules.Metric
) -> tuple[Blocks | None, list[Record]]:
    """(the comparison, the records it used): settings that both ran in the same seeds. A setting at which every run of
    both failed tells of neither."""
    runs: dict[Any, dict[Any, dict[tuple[str, int], Record]]] = {}
    for record in records:
        name, optimizer = record.summary["optimizer"], record.config["optimizer"]
        if name in (subject, rival) and record.status in FINISHED and block in optimizer:
            setting = tuple(optimizer.get(key) for key in keys)
            at = runs.setdefault(optimizer[block], {}).setdefault(setting, {})
            at[name, record.summary["seed"]] = record
    blocks, used = [], []
    for settings_of in runs.values():
        told = [at for at in settings_of.values() if not all(map(failed, at.values()))]
        whole = [at for at in told if {name for name, _ in at} == {subject, rival}]
        if not whole:
            continue
        # a curve is one seed over the block's settings, so it must have them all
        common = set.intersection(*(set(at) for at in whole))
        sign = 1 if metric.largest else -1
        curves: dict[str, list[list[float]]] = {subject: [], rival: []}
        for name, seed in sorted(common, key=str):
            curves[name].append([sign * metric.worth(at[name, seed]) for at in whole])
            used += [at[name, seed] for at in whole]
        if all(curves.values()):
            blocks.append((curves[subject], curves[rival]))
    return compare_blocks(blocks), used


def _blocks_told(found: Blocks, block: str) -> str:
    return (
        f"better in {found.better:.0%} of pairs at {found.cells} settings in {found.blocks} blocks of {block}, "
        f"p {found.greater:.2g}"
    )


def untested(evidence: Evidence, part: str) -> Outcome:
    return Outcome(rules.NOT_RUN)
