"""Fig 1 and Fig 3: which cells of the (beta2, P) plane converge, and the exact boundary between those that do and
those that do not."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acprop.runs import Run, require, require_one_of
from experiments.theory.limit import AXES, drift
from experiments.theory.problems import PERIODIC, Array, Periodic
from experiments.theory.recurrences import MUTANTS, RULES, Rule, start

FINE = 4  # the boundary is drawn on a grid so many times finer, and on every P


def study(
    run: Run, problem: Mapping[str, Any], criterion: Mapping[str, Any], beta1: Sequence[float], mutants: Sequence[str],
    minus_log10_one_minus_beta2: Mapping[str, Any], budget: float,
) -> None:  # fmt: skip
    """Computes every panel of one map at every beta1 and keeps, beside counts in the metrics,

    converges, distance: (panel, beta1, P, beta2), the cells, and the smallest mean |x - x*| over lr (limit: NaN).
    mutants: (mutant, P, beta2), the cells of each wrong ACProp at the criterion's default beta1.
    drift: (panel, beta1, fine_P, fine_beta2), whose zero is the exact boundary.
    P, beta2, fine_P, fine_beta2: the axes; beta2 as -log10(1 - beta2).
    """
    for panel in problem["panels"]:
        require_one_of("problem.panels", panel, AXES.keys() & RULES.keys())
    for name in mutants:
        require_one_of("study.mutants", name, MUTANTS)
    require_one_of("criterion.measure", criterion["measure"], ("x", "distance", "drift"))
    missing = set(criterion["beta1"].values()) - set(beta1)
    require(not missing, "study.beta1", list(beta1), f"the criterion's own {sorted(missing)} must be among them")
    for name, steps in criterion.get("steps", {}).items():
        require(isinstance(steps, int) and steps > 0, f"criterion.steps.{name}", steps, "a whole number > 0")
    axis = minus_log10_one_minus_beta2
    x_axis = axis["first"] + axis["step"] * np.arange(axis["count"])
    fine_x = np.linspace(x_axis[0], x_axis[-1], FINE * (axis["count"] - 1) + 1)
    periods = np.array(problem["periods"])
    fine_periods = np.arange(periods[0], periods[-1] + 1)
    task = PERIODIC[problem["name"]]
    shape = (len(problem["panels"]), len(beta1))
    converges = np.zeros((*shape, len(periods), len(x_axis)), bool)
    distance = np.full(converges.shape, np.nan)
    drifts = np.zeros((*shape, len(fine_periods), len(fine_x)))

    def cells(name: str, b1: float) -> tuple[np.ndarray, np.ndarray]:
        if criterion["measure"] == "drift":
            leads = [drift(name, task.gradient, P, b1, beta2(x_axis)) > 0 for P in periods]
            return np.array(leads), np.full((len(periods), len(x_axis)), np.nan)
        steps = round(budget * criterion["steps"].get(name, criterion["steps"]["default"]))
        return simulate(start(name, b1, beta2(x_axis)), task, periods, len(x_axis), steps, criterion)

    for i, panel in enumerate(problem["panels"]):
        for j, b1 in enumerate(beta1):
            started = time.perf_counter()
            drifts[i, j] = [drift(panel, task.gradient, P, b1, beta2(fine_x)) for P in fine_periods]
            converges[i, j], distance[i, j] = cells(panel, b1)
            run.log(
                f"{panel} beta1={b1}",
                converge=converges[i, j].sum(),
                near_optimum=(distance[i, j] < 0.01).sum(),
                seconds=time.perf_counter() - started,
            )
    wrong = np.array([cells(name, criterion["beta1"]["default"])[0] for name in mutants])
    run.keep(
        converges=converges, distance=distance, mutants=wrong, drift=drifts.astype(np.float32),
        P=periods, beta2=x_axis, fine_P=fine_periods, fine_beta2=fine_x,
    )  # fmt: skip


def beta2(x: Array) -> Array:
    return 1 - 10.0**-x


def simulate(
    rule: Rule, problem: Periodic, periods: np.ndarray, columns: int, steps: int, criterion: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Runs the whole grid (lr, P, beta2) at once with lr / sqrt(t), x projected to the problem's interval.

    Moments do not depend on lr here, so only x has that axis. Returns, both (P, beta2): whether `measure`, averaged
    over the last `tail` steps, is below `below` for some lr; and the smallest averaged |x - x*| over lr.
    """
    P = periods[:, None]
    lrs = np.array(criterion["lrs"])[:, None, None]
    x = np.full((len(lrs), len(periods), columns), float(criterion["x0"]))
    x_sum, distance_sum = np.zeros_like(x), np.zeros_like(x)
    tail = min(criterion["tail"], steps)
    for t in range(1, steps + 1):
        step = rule.send(problem.gradient(t, P))
        x -= lrs / np.sqrt(t) * step
        np.clip(x, problem.low, problem.high, out=x)
        if t > steps - tail:
            x_sum += x
            distance_sum += np.abs(x - problem.optimum)
    measured = x_sum if criterion["measure"] == "x" else distance_sum
    return (measured / tail < criterion["below"]).any(0), (distance_sum / tail).min(0)
