"""The rate: mean squared gradient norm over a run of T steps, against T: at the constant step a_0 / sqrt(T), of which
the theorem speaks, or at a_0 / sqrt(t), where a factor log T can show."""

from collections.abc import Sequence

import numpy as np

from acprop.runs import Run, require, require_one_of
from experiments.theory.problems import STOCHASTIC, Stochastic
from experiments.theory.recurrences import MUTANTS, RULES, Rule, start

RESAMPLES = 2000


def study(
    run: Run, problems: Sequence[str], optimizers: Sequence[str], mutants: Sequence[str], decaying: bool, beta1: float,
    beta2: float, a0: float, horizons: Sequence[int], seeds: int, seed: int, budget: float,
) -> None:  # fmt: skip
    """Logs the fitted slope with its 95 % interval. Keeps T (horizons,) and norms (problem, optimizer, horizon, seed):
    the exact gradient's squared norm, averaged over the iterates x_0 .. x_{T-1}. Of mutants, the slope alone."""
    for name in problems:
        require_one_of("study.problems", name, STOCHASTIC)
    for name in optimizers:
        require_one_of("study.optimizers", name, RULES)
    for name in mutants:
        require_one_of("study.mutants", name, MUTANTS)
    require(len(horizons) > 1 and seeds > 1, "study.horizons", list(horizons), "at least two, and seeds >= 2")
    T = np.unique([max(2, round(budget * t)) for t in horizons])
    names = [*optimizers, *mutants]
    norms = np.empty((len(problems), len(names), len(T), seeds))
    for i, problem in enumerate(problems):
        for j, name in enumerate(names):
            random = np.random.default_rng([seed, i])  # every optimizer meets the same noise
            rule = start(name, beta1, beta2)
            norms[i, j] = mean_squared_norms(rule, STOCHASTIC[problem](), T, a0, seeds, random, decaying)
            slope, low, high = fit(T, norms[i, j])
            run.log(f"{problem}/{name}", slope=slope, low=low, high=high)
    run.keep(T=T, norms=norms[:, : len(optimizers)])


def mean_squared_norms(
    rule: Rule, problem: Stochastic, T: np.ndarray, a0: float, seeds: int, random: np.random.Generator,
    decaying: bool = False,
) -> np.ndarray:  # fmt: skip
    """(horizon, seed). All horizons run side by side, each at its own step a0 / sqrt(T); a horizon that is over leaves
    the array's result untouched and goes on unobserved. At a0 / sqrt(t) they share one way."""
    x = np.tile(problem.start, (1 if decaying else len(T), seeds, 1))
    rate = (a0 / np.sqrt(T))[:, None, None]
    width = problem.sigma * np.sqrt(3)
    total, result = np.zeros((len(x), seeds)), np.empty((len(T), seeds))
    for t in range(1, T.max() + 1):
        gradient = problem.gradient(x)
        total += np.einsum("hsd,hsd->hs", gradient, gradient)
        result[t == T] = (total if decaying else total[t == T]) / t
        if decaying:
            rate = a0 / np.sqrt(t)
        x = x - rate * rule.send(gradient + random.uniform(-width, width, x.shape[1:]))
    return result


def fit(T: np.ndarray, norms: np.ndarray) -> tuple[float, float, float]:
    """Least-squares slope of log(mean over seeds) against log T, and its 95 % bootstrap interval over seeds."""
    random = np.random.default_rng(0)
    seeds = norms.shape[1]
    log_t = np.log(T) - np.log(T).mean()

    def slope(values: np.ndarray) -> np.ndarray:  # (..., horizon) -> (...)
        return np.log(values) @ log_t / (log_t @ log_t)

    # seeds of different horizons share their noise, so a seed is drawn with all its horizons
    resampled = norms[:, random.integers(seeds, size=(RESAMPLES, seeds))].mean(-1).T
    low, high = np.quantile(slope(resampled), (0.025, 0.975))
    return float(slope(norms.mean(1))), float(low), float(high)
