"""The tests of what the paper says about convergence, at full scale, by the name that statements.yaml calls them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from acprop.report.claims import rules
from acprop.report.claims.evidence import Evidence, criterion
from acprop.report.claims.statements import Outcome
from acprop.report.style import look
from acprop.runs.record import Record
from experiments.theory.report import Panel, panels


def _map(evidence: Evidence, problem: str, name: str) -> Record | None:
    return evidence.theory("map", problem={"name": problem}, criterion=criterion(name, problem))


def _panel(record: Record, name: str) -> Panel:
    return next(panel for panel in panels(record) if panel.name == name)


def map_panel(evidence: Evidence, part: str, problem: str, criterion: str, panel: str) -> Outcome:
    """Does a panel come out as published, cell by cell?"""
    record = _map(evidence, problem, criterion)
    if record is None:
        return Outcome(rules.NOT_RUN)
    found = _panel(record, panel)
    assert found.differ is not None
    size, converge = found.converges.size, int(found.converges.sum())
    return _exact(
        rules.of_map(found.differ, size), f"{found.differ} of {size} cells differ; {converge} converge", record,
        float(found.differ),
    )  # fmt: skip


def map_everywhere(
    evidence: Evidence, part: str, problem: str, criterion: str, panels: Sequence[str], everywhere: bool
) -> Outcome:
    """Do all these panels converge in every cell; or, with `everywhere` false, does each diverge in some?"""
    record = _map(evidence, problem, criterion)
    if record is None:
        return Outcome(rules.NOT_RUN)
    converges = {name: _panel(record, name).converges for name in panels}
    told = ", ".join(f"{look(name).label} {cells.sum()} of {cells.size}" for name, cells in converges.items())
    holds = all(bool(cells.all()) == everywhere for cells in converges.values())
    return _exact(rules.of_fact(holds), f"cells that converge: {told}", record)


def final(
    evidence: Evidence, part: str, study: str, keys: Sequence[str], above: float | None = None,
    below: float | None = None,
) -> Outcome:  # fmt: skip
    """Are these last values all above, or all below, a bound?"""
    record = evidence.theory(study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    values = {key: record.summary["final"][key] for key in keys}
    holds = all((above is None or value > above) and (below is None or value < below) for value in values.values())
    told = ", ".join(f"{look(key.split('/')[0]).label} {value:.4g}" for key, value in values.items())
    return _exact(rules.of_fact(holds), f"at the end: {told}", record)


def final_ratio(evidence: Evidence, part: str, study: str, over: str, under: str, at_least: float) -> Outcome:
    """Is one last value at least so many times another?"""
    record = evidence.theory(study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    high, low = (record.summary["final"][key] for key in (over, under))
    told = f"{over} {high:.3g}, {under} {low:.3g}: ratio {high / low:.3g}, asked: {at_least:g}"
    return _exact(rules.of_fact(high >= at_least * low), told, record, high / low)


def final_smallest(
    evidence: Evidence, part: str, study: str, metric: str, subject: str, rivals: Sequence[str]
) -> Outcome:
    """Is the last value of `subject` smaller than that of every rival?"""
    record = evidence.theory(study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    values = {name: record.summary["final"][f"{name}/{metric}"] for name in record.config["study"]["optimizers"]}
    ranked = sorted(values, key=lambda name: values[name])
    told = " < ".join(f"{look(name).label} {values[name]:.3g}" for name in ranked)
    holds = all(values[subject] < values[name] for name in rivals)
    return _exact(rules.of_fact(holds), f"{metric} at the end: {told}", record, values[subject])


def rate(evidence: Evidence, part: str, problem: str, subject: str) -> Outcome:
    """Is the slope of log(squared gradient norm) against log T on the log-free side of the middle between the slopes of
    1/sqrt(T) and log(T)/sqrt(T) over the same T?"""
    record = evidence.theory("rate")
    if record is None:
        return Outcome(rules.NOT_RUN)
    slope, low, high = _slope(record, problem, subject)
    T = record.arrays["T"]
    middle = (-0.5 + np.polyfit(np.log(T), np.log(np.log(T) / np.sqrt(T)), 1)[0]) / 2
    told = f"slope {slope:.3f} [{low:.3f}, {high:.3f}]; without log T -0.5, bound {middle:.3f}"
    return Outcome(
        rules.of_interval(low, high, middle), told, value=slope, low=low, high=high, n=record.config["study"]["seeds"],
        scale="paper", data=problem, records=[record],
    )  # fmt: skip


def rate_steeper(evidence: Evidence, part: str, subject: str, rivals: Sequence[str]) -> Outcome:
    """Is the slope's interval below that of every rival on every problem; or above one of them on every problem?"""
    record = evidence.theory("rate")
    if record is None:
        return Outcome(rules.NOT_RUN)
    problems = record.config["study"]["problems"]
    slopes = {name: [_slope(record, problem, name) for problem in problems] for name in (subject, *rivals)}
    pairs = {name: list(zip(slopes[subject], slopes[name], strict=True)) for name in rivals}
    steeper = [all(ours[2] < theirs[1] for ours, theirs in both) for both in pairs.values()]
    flatter = [all(ours[1] > theirs[2] for ours, theirs in both) for both in pairs.values()]
    verdict = rules.REPRODUCED if all(steeper) else rules.NOT_REPRODUCED if any(flatter) else rules.INCONCLUSIVE
    told = []
    for i, problem in enumerate(problems):
        each = [f"{look(name).label} {{:.3f}} [{{:.3f}}, {{:.3f}}]".format(*found[i]) for name, found in slopes.items()]
        told.append(f"{problem.replace('_', ' ')}: {', '.join(each)}")
    return Outcome(
        verdict, f"slopes, {'; '.join(told)}", n=record.config["study"]["seeds"], scale="paper", data="three problems",
        records=[record],
    )  # fmt: skip


def _slope(record: Record, problem: str, name: str) -> tuple[float, float, float]:
    final: dict[str, Any] = record.summary["final"]
    slope, low, high = (final[f"{problem}/{name}/{key}"] for key in ("slope", "low", "high"))
    return slope, low, high


def _exact(verdict: str, told: str, record: Record, value: float | None = None) -> Outcome:
    """Of a computation without chance: one run says all."""
    return Outcome(
        verdict, told, value=value, n=1, scale="paper", data=record.summary["dataset"], records=[record]
    )  # fmt: skip
