"""The tests of what the paper says about convergence, at full scale, by the name that statements.yaml calls them.

They are exact, so the question is what they tell apart: each is also put to ACProp with one thing wrong, and the row
names the wrong optimizers that pass (`mutants`). What one of them passes is "consistent with" and no more.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from acprop.report.artefacts import PARTS
from acprop.report.claims import rules
from acprop.report.claims.evidence import Evidence
from acprop.report.claims.rules import Metric
from acprop.report.claims.statements import Outcome
from acprop.report.settings import agrees
from acprop.report.stats import POSITIVE
from acprop.report.style import look
from acprop.runs import conf
from acprop.runs.record import Record
from experiments.theory.recurrences import MUTANTS
from experiments.theory.report import PARTS as PART_OF
from experiments.theory.report import VARIANTS_OF_ACPROP, Panel, panels, published_maps

__all__ = ["METRICS", "MUTANTS", "computed_rows"]


METRICS = {
    "denominator": Metric(
        "mean denominator", True, POSITIVE, lambda v: math.nan, lambda r: r.summary["final"]["train/denominator"]
    ),
    "train_loss": Metric(
        "training loss", False, POSITIVE, lambda v: math.nan, lambda r: r.summary["final"]["train/loss"]
    ),
}


def study_record(evidence: Evidence, study: str, **wanted: Any) -> Record | None:
    """The record of a study of conf/theory/study at full length with the settings of its file and `wanted`; None if
    there is none."""
    protocol = conf.read(f"theory/study/{study}")
    settings = {"study": {**protocol["study"], **wanted}, "budget": 1.0}
    for group in evidence.of("theory").values():
        for record in group:
            model = record.summary["model"]
            if record.status == "done" and model == protocol["names"]["model"] and agrees(settings, record.config):
                return record
    return None


def wrong(record: Record, passes: Callable[[str], bool]) -> list[str]:
    """The mutants of a record's study that pass a test."""
    return [name for name in record.config["study"]["mutants"] if passes(name)]


# -- rows of the published pictures ----------------------------------------------------------------------------------


def computed_rows(evidence: Evidence) -> Iterator[tuple[Outcome, dict[str, Any]]]:
    """Two for each published panel: by the criterion that we recall from the paper, by one fitted to the picture."""
    picture = "authors' project page, picture read off cell by cell"
    recalled = f"{picture}; the criterion is recalled from the paper"
    fitted = "a criterion fitted to the picture afterwards gives the published map"
    for (problem, optimizer), panel in published_maps().items():
        part = PART_OF[problem]
        figure = f"{PARTS[part].split(':')[0]}, panel {look(optimizer).label}"
        for suffix, name, kind, claim, source in (
            ("", "stated", rules.TESTED, "the stated criterion gives the published map", recalled),
            ("-fitted", "matching", rules.FITTED, fitted, picture),
        ):
            yield map_panel(evidence, part, problem, name, optimizer), {
                "id": f"{part}/{optimizer}{suffix}", "part": part, "claim": f"{figure}: {claim}", "kind": kind,
                "command": "make theory", "source": source, "published_value": 0.0, "margin": rules.CELLS * panel.size,
                "published": f"{panel.sum()} of {panel.size} cells converge",
            }  # fmt: skip


# -- maps ------------------------------------------------------------------------------------------------------------


def _map(evidence: Evidence, problem: str, name: str) -> Record | None:
    return study_record(
        evidence, "map", problem={"name": problem}, criterion=conf.read(f"theory/criterion/{name}")[problem]
    )


def _panel(record: Record, name: str) -> Panel:
    return next(panel for panel in panels(record) if panel.name == name)


def _mutant_cells(record: Record) -> dict[str, Any]:
    return dict(zip(record.config["study"]["mutants"], record.arrays["mutants"], strict=True))


def map_panel(evidence: Evidence, part: str, problem: str, criterion: str, panel: str) -> Outcome:
    """Does a panel come out as published, cell by cell? And which other optimizer would have given the same picture?"""
    record = _map(evidence, problem, criterion)
    if record is None:
        return Outcome(rules.NOT_RUN)
    found = _panel(record, panel)
    assert found.differ is not None
    assert found.published is not None
    size, converge = found.converges.size, int(found.converges.sum())
    variants = {panel, *(VARIANTS_OF_ACPROP if panel == "acprop" else ())}
    others = {other.name: other.converges for other in panels(record) if other.name not in variants}
    others |= _mutant_cells(record)
    alike = [name for name, cells in others.items() if (cells != found.published).sum() <= rules.CELLS * size]
    told = f"{found.differ} of {size} cells differ; {converge} converge"
    return _exact(rules.of_map(found.differ, size, alike), told, record, float(found.differ), alike)


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
    cells = _mutant_cells(record)
    alike = wrong(record, lambda name: bool(cells[name].all())) if "acprop" in panels and everywhere else None
    return _exact(rules.of_fact(holds, alike or ()), f"cells that converge: {told}", record, mutants=alike)


# -- the whole region ------------------------------------------------------------------------------------------------


def _region(record: Record) -> dict[str, Any]:
    """optimizer or mutant -> bool (beta1, P, beta2): converges in the limit."""
    study = record.config["study"]
    return dict(zip([*study["optimizers"], *study["mutants"]], record.arrays["converges"], strict=True))


def region_everywhere(evidence: Evidence, part: str, problem: str, optimizers: Sequence[str]) -> Outcome:
    """Do these converge for all beta1, beta2 and P of the study?"""
    record = study_record(evidence, "region", problem=problem)
    if record is None:
        return Outcome(rules.NOT_RUN)
    cells = _region(record)
    alike = wrong(record, lambda name: bool(cells[name].all())) if "acprop" in optimizers else None
    holds = all(cells[name].all() for name in optimizers)
    return _exact(rules.of_fact(holds, alike or ()), _diverging(record, optimizers), record, mutants=alike)


def region_contains(evidence: Evidence, part: str, problem: str, subject: str, rivals: Sequence[str]) -> Outcome:
    """Does the subject converge wherever a rival does at the same beta1, and somewhere else besides?"""
    record = study_record(evidence, "region", problem=problem)
    if record is None:
        return Outcome(rules.NOT_RUN)
    cells = _region(record)

    def contains(name: str, rival: str) -> bool:
        return bool((cells[name] >= cells[rival]).all() and (cells[name] > cells[rival]).any())

    alike = wrong(record, lambda name: all(contains(name, rival) for rival in rivals))
    told = "; ".join(
        f"beside {look(rival).label}: {(cells[subject] & ~cells[rival]).sum():,} cells more, "
        f"{(cells[rival] & ~cells[subject]).sum():,} fewer of {cells[subject].size:,}"
        for rival in rivals
    )
    holds = all(contains(subject, rival) for rival in rivals)
    return _exact(rules.of_fact(holds, alike), told, record, mutants=alike)


def region_ablation(evidence: Evidence, part: str, problem: str, beta1: float, subject: str, without: str) -> Outcome:
    """Does the subject converge at one beta1 in every cell in which `without`, the same but for one thing, does, and in
    others besides?"""
    record = study_record(evidence, "region", problem=problem)
    if record is None:
        return Outcome(rules.NOT_RUN)
    at = record.config["study"]["beta1"].index(beta1)
    whole, part_of = (_region(record)[name][at] for name in (subject, without))
    told = (
        f"at β1 = {beta1:g} {look(subject).label} converges in {whole.sum():,} of {whole.size:,} cells, "
        f"{look(without).label} in {part_of.sum():,}"
    )
    return _exact(rules.of_fact(bool((whole >= part_of).all() and (whole > part_of).any())), told, record)


def _diverging(record: Record, optimizers: Sequence[str]) -> str:
    final, told = record.summary["final"], []
    for name in optimizers:
        diverge, size = int(final[f"{name}/diverge"]), int(final[f"{name}/cells"])
        first = f", the first at P = {int(final[f'{name}/first_P'])}" if diverge else ""
        told.append(f"{look(name).label} {diverge:,} of {size:,}{first}")
    return f"cells that diverge: {'; '.join(told)}"


# -- steps, trajectories, Rosenbrock ---------------------------------------------------------------------------------


def authors_steps(evidence: Evidence, part: str, at_most: float) -> Outcome:
    """Are the steps of this package's ACProp those of the authors' class, in every setting they are known for?"""
    record = study_record(evidence, "authors")
    if record is None:
        return Outcome(rules.NOT_RUN)
    final = record.summary["final"]
    ours = {key: value for key, value in final.items() if key.startswith("acprop/")}
    alike = wrong(record, lambda name: final[f"{name}/difference"] <= at_most)
    largest = max(ours.values())
    told = f"largest relative difference over {len(ours)} settings {largest:.1e}; of the nearest wrong one " + (
        f"{min(final[f'{name}/difference'] for name in record.config['study']['mutants']):.1e}"
    )
    return _exact(rules.of_fact(largest <= at_most, alike), told, record, largest, alike)


def final(
    evidence: Evidence, part: str, study: str, keys: Sequence[str], above: float | None = None,
    below: float | None = None,
) -> Outcome:  # fmt: skip
    """Are these last values all above, or all below, a bound?"""
    record = study_record(evidence, study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    last: Mapping[str, float] = record.summary["final"]

    def passes(key: str) -> bool:
        return (above is None or last[key] > above) and (below is None or last[key] < below)

    told = ", ".join(f"{look(key.split('/')[0]).label} {last[key]:.4g}" for key in keys)
    metric = next((key.partition("/")[2] for key in keys if key.startswith("acprop/")), None)
    alike = wrong(record, lambda name: passes(f"{name}/{metric}")) if metric else None
    return _exact(rules.of_fact(all(map(passes, keys)), alike or ()), f"at the end: {told}", record, mutants=alike)


def final_ratio(evidence: Evidence, part: str, study: str, over: str, under: str, at_least: float) -> Outcome:
    """Is one last value at least so many times another?"""
    record = study_record(evidence, study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    high, low = (record.summary["final"][key] for key in (over, under))
    told = f"{over} {high:.3g}, {under} {low:.3g}: ratio {high / low:.3g}, asked: {at_least:g}"
    return _exact(rules.of_fact(high >= at_least * low), told, record, high / low)


def final_smallest(
    evidence: Evidence, part: str, study: str, metric: str, subject: str, rivals: Sequence[str], choices: Sequence[str]
) -> Outcome:
    """Is the last value of `subject` smaller than that of every rival, by whichever rule the learning rates are chosen?
    `choices`: what stands between an optimizer's name and the metric for each rule. Rules that disagree decide nothing.
    """
    record = study_record(evidence, study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    last: Mapping[str, float] = record.summary["final"]
    told, holds = [], []

    def smallest(name: str, choice: str) -> bool:
        return all(last[f"{name}{choice}/{metric}"] < last[f"{rival}{choice}/{metric}"] for rival in rivals)

    for choice in choices:
        values = {name: last[f"{name}{choice}/{metric}"] for name in (subject, *rivals)}
        ranked = sorted(values, key=values.__getitem__)
        rule = choice.strip("/").replace("_", " ") or "by mean"
        told.append(f"lr {rule} {metric}: " + " < ".join(f"{look(n).label} {values[n]:.3g}" for n in ranked))
        holds.append(smallest(subject, choice))
    alike = wrong(record, lambda name: all(smallest(name, choice) for choice in choices))
    verdict = rules.of_fact(all(holds), alike) if len(set(holds)) == 1 else rules.INCONCLUSIVE
    fixed = [name for name in (subject, *rivals) if f"{name}/published/{metric}" in last]
    each = ", ".join(f"{look(name).label} {last[f'{name}/published/{metric}']:.3g}" for name in fixed)
    told.append(f"lr that the published curve follows: {each}")
    flips = "" if len(set(holds)) == 1 else "; which is nearest depends on the rule, so neither is claimed"
    return _exact(verdict, "; ".join(told) + flips, record, mutants=alike)


# -- rate ------------------------------------------------------------------------------------------------------------


def rate(evidence: Evidence, part: str, problem: str, subject: str, study: str = "rate") -> Outcome:
    """Is the slope of log(squared gradient norm) against log T on the log-free side of the middle between the slopes of
    1/sqrt(T) and log(T)/sqrt(T) over the same T?"""
    record = study_record(evidence, study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    slope, low, high = _slope(record, problem, subject)
    T = record.arrays["T"]
    middle = (-0.5 + np.polyfit(np.log(T), np.log(np.log(T) / np.sqrt(T)), 1)[0]) / 2
    rivals = [name for name in record.config["study"]["optimizers"] if name != subject]
    alike = [name for name in rivals if _slope(record, problem, name)[2] < middle]
    alike += wrong(record, lambda name: _slope(record, problem, name)[2] < middle)
    told = f"slope {slope:.3f} [{low:.3f}, {high:.3f}]; without log T -0.5, bound {middle:.3f}"
    return Outcome(
        rules.of_interval(low, high, middle, alike), told, value=slope, low=low, high=high,
        n=record.config["study"]["seeds"], scale="paper", data=problem, records=[record], mutants=alike, by_chance=True,
    )  # fmt: skip


def rate_steeper(evidence: Evidence, part: str, subject: str, rivals: Sequence[str], study: str = "rate") -> Outcome:
    """Is the slope's interval below that of every rival on every problem; or above one of them on every problem?"""
    record = study_record(evidence, study)
    if record is None:
        return Outcome(rules.NOT_RUN)
    problems = record.config["study"]["problems"]

    def slopes(name: str) -> list[tuple[float, float, float]]:
        return [_slope(record, problem, name) for problem in problems]

    def steeper(name: str) -> list[bool]:
        return [all(a[2] < b[1] for a, b in zip(slopes(name), slopes(rival), strict=True)) for rival in rivals]

    flatter = [all(a[1] > b[2] for a, b in zip(slopes(subject), slopes(rival), strict=True)) for rival in rivals]
    alike = wrong(record, lambda name: all(steeper(name)))
    holds = rules.of_fact(True, alike) if all(steeper(subject)) else rules.INCONCLUSIVE
    told = []
    for i, problem in enumerate(problems):
        each = "{} {:.3f} [{:.3f}, {:.3f}]"
        found = [each.format(look(name).label, *slopes(name)[i]) for name in (subject, *rivals)]
        told.append(f"{problem.replace('_', ' ')}: {', '.join(found)}")
    return Outcome(
        rules.NOT_REPRODUCED if any(flatter) else holds, f"slopes, {'; '.join(told)}",
        n=record.config["study"]["seeds"], scale="paper", data="three problems", records=[record], mutants=alike,
        by_chance=True,
    )  # fmt: skip


def _slope(record: Record, problem: str, name: str) -> tuple[float, float, float]:
    final: dict[str, Any] = record.summary["final"]
    slope, low, high = (final[f"{problem}/{name}/{key}"] for key in ("slope", "low", "high"))
    return slope, low, high


def _exact(
    verdict: str, told: str, record: Record, value: float | None = None, mutants: Sequence[str] | None = None
) -> Outcome:
    """Of a computation without chance: one run says all. `mutants`: the wrong optimizers that pass, None where the test
    is not one of ACProp."""
    return Outcome(
        verdict, told, value=value, n=1, scale="paper", data=record.summary["dataset"], records=[record],
        mutants=None if mutants is None else list(mutants),
    )  # fmt: skip
