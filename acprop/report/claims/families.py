"""The tests of what the paper says over all tasks at once, as its abstract does, by the name that statements.yaml calls
them. A claim about every cell of its tables can be refuted by the tables themselves, without a run."""

from collections.abc import Sequence
from itertools import product

from acprop.report.claims import rules
from acprop.report.claims.evidence import Evidence, Study
from acprop.report.claims.published import Cell, cells, metric_of
from acprop.report.claims.statements import Outcome, comparison_told, sweep, values_of
from acprop.report.records import failed
from acprop.report.stats import FEWEST, Comparison, mean_difference
from acprop.report.style import dataset_name, look, model_name
from acprop.runs.record import Record


def family(evidence: Evidence, part: str, subject: str, rivals: Sequence[str], parts: Sequence[str]) -> Outcome:
    """Is `subject` better than each of `rivals` in every cell of these parts in which both have a number?"""
    pairs = list(_pairs(subject, rivals, parts))
    against = [_pair_told(ours, theirs) for ours, theirs in pairs if not _better(ours, theirs)]
    published = f"the paper's own numbers: better in {len(pairs) - len(against)} of {len(pairs)} comparisons"
    published += f", not in {'; '.join(against)}" if against else ""
    comparisons: dict[str, Comparison | None] = {}
    told, small, wins, records = [], 0, 0, []
    for ours, theirs in pairs:
        metric = metric_of(ours.metric)
        names = [subject, theirs.own]
        full, others = evidence.studies(ours.task, ours.dataset, ours.model, ours.part, names)
        for study in others:
            values = values_of(study, metric)
            if len(values) == 2:
                small += 1
                wins += _mean(values[subject], metric) > _mean(values[theirs.own], metric)
                records += study.records
        values = values_of(full, metric) if full else {}
        key = f"{_where(ours)}, {look(theirs.own).label}"
        found = rules.against(values.get(subject, []), {key: values.get(theirs.own, [])}, metric.largest)
        comparisons |= found
        if comparison := found[key]:
            told.append(comparison_told(key, comparison))
            records += full.records if full else []
    ours_told = f"P(better): {'; '.join(told)}" if told else ""
    small_told = f"the better mean in {wins} of {small} comparisons in small" if small else ""
    if against:
        verdict = rules.CONTRADICTED
    elif told:
        verdict = rules.of_best(comparisons)
    else:
        verdict = rules.SMALL_SCALE if small else rules.NOT_RUN
    return Outcome(
        verdict, ours_told, small_told, published, n=len(told) or None, scale="paper" if told else "", records=records,
        by_chance=bool(told) and not against,
    )  # fmt: skip


def _pairs(subject: str, rivals: Sequence[str], parts: Sequence[str]) -> list[tuple[Cell, Cell]]:
    every = [cell for cell in cells() if cell.part in parts]
    ours = [cell for cell in every if cell.optimizer == subject]
    theirs = [cell for cell in every if cell.own in rivals]
    return [(a, b) for a, b in product(ours, theirs) if (a.part, a.row) == (b.part, b.row)]


def _better(ours: Cell, theirs: Cell) -> bool:
    return ours.value > theirs.value if metric_of(ours.metric).largest else ours.value < theirs.value


def _where(cell: Cell) -> str:
    return cell.where or f"{model_name(cell.model)}, {dataset_name(cell.dataset)}"


def _pair_told(ours: Cell, theirs: Cell) -> str:
    return f"{_where(ours)} ({ours.value:g} against {look(theirs.own).label}'s {theirs.value:g})"


def _mean(values: Sequence[float], metric: rules.Metric) -> float:
    mean = sum(values) / len(values)
    return mean if metric.largest else -mean


# -- generalisation --------------------------------------------------------------------------------------------------


def generalisation(
    evidence: Evidence, part: str, task: str, dataset: str, models: Sequence[str], of: str, subject: str, rival: str,
    margin: float,
) -> Outcome:  # fmt: skip
    """Is the test accuracy of `subject`, at the training loss that all runs of both reached, no more than `margin`
    below that of `rival`, for every one of these nets? `of`: the part of the paper whose runs are asked."""
    told, small_told, verdicts, records = [], [], [], []
    for model in models:
        full, small = evidence.studies(task, dataset, model, of, [subject, rival])
        for study in [*([full] if full else []), *small]:
            found = at_equal_loss(study, subject, rival)
            if found is None:
                continue
            loss, ours, theirs = found
            records += study.records
            gap = sum(ours) / len(ours) - sum(theirs) / len(theirs)
            text = f"{model_name(model)} at training loss {loss:.3g}: {gap:+.2f} points"
            if study is not full:
                small_told.append(f"{study.where}, {text} (n = {min(len(ours), len(theirs))})")
            elif min(len(ours), len(theirs)) < FEWEST:
                verdicts.append(rules.TOO_FEW)
                told.append(f"{text}, below five runs")
            else:
                _, low, high = mean_difference(ours, theirs)
                verdicts.append(
                    rules.REPRODUCED
                    if low >= -margin
                    else rules.NOT_REPRODUCED
                    if high < -margin
                    else rules.INCONCLUSIVE
                )
                told.append(f"{text} [{low:.2f}, {high:.2f}], margin {margin:g}")
    verdict = rules.of_all(verdicts, len(models)) if verdicts else rules.SMALL_SCALE if small_told else rules.NOT_RUN
    return Outcome(
        verdict, "; ".join(told), "; ".join(small_told), n=len(verdicts) or None, scale="paper" if told else "",
        records=records, by_chance=bool(verdicts),
    )  # fmt: skip


def at_equal_loss(study: Study, subject: str, rival: str) -> tuple[float, list[float], list[float]] | None:
    """(training loss, test top-1 of the subject's runs, of the rival's) at the first epoch at which a run's training
    loss is down to the least that every run of both reached. Failed runs have none; None if a side has no other."""
    sides = [[r for r in study.cells.get(name, []) if not failed(r)] for name in (subject, rival)]
    if not all(sides):
        return None
    losses = {record.folder: dict(record.curve("train", "loss")) for side in sides for record in side}
    if not all(losses.values()):
        return None
    target = max(min(curve.values()) for curve in losses.values())

    def accuracy(record: Record) -> float:
        epoch = next(epoch for epoch, loss in losses[record.folder].items() if loss <= target)
        return dict(record.curve("test", "top1"))[epoch]

    ours, theirs = ([accuracy(record) for record in side] for side in sides)
    return target, ours, theirs


# -- stability -------------------------------------------------------------------------------------------------------


def stability(
    evidence: Evidence, part: str, task: str, dataset: str, model: str, of: str, subject: str, rivals: Sequence[str]
) -> Outcome:
    """Does `subject` fail, over lr, eps and seeds of the sweep behind part `of`, no more often than each rival at the
    same settings? Worse by the permutation within blocks of lr is refuted; no more failures in any block holds."""
    full, small = evidence.groups(task, dataset, model, of)
    told, records = [], []
    for (data, scale), group in small.items():
        for rival in rivals:
            if found := failures(group, subject, rival):
                told.append(f"{dataset_name(data)}, {scale}: {_failures_told(found, subject, rival)}")
                records += found[3]
    judged, verdicts = [], []
    for rival in rivals:
        if found := failures(full, subject, rival):
            judged.append(_failures_told(found, subject, rival))
            verdicts.append(found[2])
            records += found[3]
    verdict = rules.of_all(verdicts, len(rivals)) if verdicts else rules.SMALL_SCALE if told else rules.NOT_RUN
    return Outcome(
        verdict, "; ".join(judged), "; ".join(told), scale="paper" if judged else "", records=records,
        by_chance=bool(verdicts),
    )  # fmt: skip


Failures = tuple[tuple[int, int], tuple[int, int], str, list[Record]]  # (failed, runs) of each side, verdict, records


def failures(records: Sequence[Record], subject: str, rival: str) -> Failures | None:
    """Of the settings that both ran."""
    keys = ("lr", "eps")
    ended = rules.Metric("fails", False, (0.0, 1.0), lambda v: 0.0, lambda record: 0.0)
    settings = {
        name: {_setting(r, keys) for r in records if r.summary["optimizer"] == name} for name in (subject, rival)
    }
    common = settings[subject] & settings[rival]
    sides = [
        [r for r in records if r.summary["optimizer"] == name and _setting(r, keys) in common]
        for name in (subject, rival)
    ]
    if len(common) < 2:
        return None
    counted = [(sum(map(failed, side)), len(side)) for side in sides]
    blocks, _ = sweep([*sides[0], *sides[1]], subject, rival, "lr", keys, ended)
    by_lr = {lr for lr, _ in common}
    worse = [
        lr for lr in by_lr
        if _share([r for r in sides[0] if r.config["optimizer"]["lr"] == lr])
        > _share([r for r in sides[1] if r.config["optimizer"]["lr"] == lr])
    ]  # fmt: skip
    if blocks and blocks.less <= rules.LEVEL:
        verdict = rules.NOT_REPRODUCED
    else:
        verdict = rules.INCONCLUSIVE if worse else rules.REPRODUCED
    return counted[0], counted[1], verdict, [*sides[0], *sides[1]]


def _setting(record: Record, keys: Sequence[str]) -> tuple[object, ...]:
    return tuple(record.config["optimizer"].get(key) for key in keys)


def _share(records: Sequence[Record]) -> float:
    return sum(map(failed, records)) / len(records)


def _failures_told(found: Failures, subject: str, rival: str) -> str:
    (ours, runs), (theirs, others), *_ = found
    return f"{look(subject).label} fails in {ours} of {runs} runs, {look(rival).label} in {theirs} of {others}"
