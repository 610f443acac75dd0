"""What the paper does not ask of its runs, and a user does: how soon, how sensitive, how much tuning, over all tasks.
Pure functions of scores; larger is better throughout (`oriented` turns those of which smaller is better).

aggregates   Agarwal et al., Deep RL at the edge of the statistical precipice (2021): IQM, performance profiles
ranks        Demsar, Statistical comparisons of classifiers over multiple data sets (2006): Friedman, Nemenyi
tuning       Dodge et al., Show your work (2019): the best of k trials
time         Dahl et al., Benchmarking neural network training algorithms (2023): time to a target
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

RESAMPLES = 2000


def oriented(score: float, largest: bool) -> float:
    """Larger is better; what is not a number is the worst."""
    if math.isnan(score):
        return -math.inf
    return score if largest else -score


# -- time ------------------------------------------------------------------------------------------------------------


def time_to_target(curve: Sequence[tuple[float, float]], target: float) -> float:
    """The first position of a curve of (position, score) at which the score is at least `target`; infinite if none."""
    return next((position for position, score in curve if score >= target), math.inf)


# -- sensitivity to a setting ----------------------------------------------------------------------------------------


class Sensitivity(NamedTuple):
    """best: the setting of the largest mean. curve: (setting / best, mean). decades: the width, in powers of ten, of
    the range around the best in which the mean stays within `tolerance` of it. open: whether the range ends at the
    grid's own edge, so that the width is only a lower bound."""

    best: float
    curve: list[tuple[float, float]]
    decades: float
    open: bool


def sensitivity(scores: Mapping[float, Sequence[float]], tolerance: float = 0.01) -> Sensitivity:
    """Of setting (positive, as a learning rate is) -> scores of its runs. `tolerance` is a share of the best mean."""
    settings = sorted(scores)
    means = {setting: fmean(scores[setting]) for setting in settings}
    best = max(settings, key=lambda setting: means[setting])
    enough = means[best] - tolerance * abs(means[best])
    at = settings.index(best)
    low = high = at
    while low > 0 and means[settings[low - 1]] >= enough:
        low -= 1
    while high < len(settings) - 1 and means[settings[high + 1]] >= enough:
        high += 1
    return Sensitivity(
        best, [(setting / best, means[setting]) for setting in settings],
        math.log10(settings[high] / settings[low]), low == 0 or high == len(settings) - 1,
    )  # fmt: skip


def on_edge(chosen: Mapping[str, float], grid: Mapping[str, Sequence[float]]) -> list[str]:
    """The settings that were chosen at an end of their grid, in words: a better one may lie beyond. A grid of one value
    was not tuned over and has no edge; nor is 0 one, below which lies nothing."""
    told = []
    for key, values in grid.items():
        if len(set(values)) > 1 and chosen[key] in {min(values), max(values)} - {0}:
            told.append(
                f"{key} = {chosen[key]:g} is the {'smallest' if chosen[key] == min(values) else 'largest'} tried"
            )
    return told


# -- tuning ----------------------------------------------------------------------------------------------------------


def best_of(scores: Sequence[float], k: int) -> float:
    """The mean, over all ways to pick k of the trials, of the best of the k: what a user gets who tries k settings."""
    ranked, n = sorted(scores), len(scores)
    ways = math.comb(n, k)
    # the i-th smallest (from 0) is the best of the k where the others are among the i below it; 0 x inf is no part
    shares = [math.comb(i, k - 1) / ways for i in range(n)]
    return sum(score * share for score, share in zip(ranked, shares, strict=True) if share)


# -- several tasks ---------------------------------------------------------------------------------------------------

Runs = Sequence[Sequence[float]]  # a task each: scores of its runs, on a scale that tasks share


def relative(tasks: Mapping[str, Runs], largest: Sequence[bool]) -> dict[str, list[list[float]]]:
    """optimizer -> task -> scores, as shares of the best optimizer's mean on that task: 1 is as good. Scores must be
    positive; of those of which smaller is better the share is best / score. A run that failed is worth 0."""
    means = {name: [_mean_of_good(task) for task in runs] for name, runs in tasks.items()}
    result: dict[str, list[list[float]]] = {name: [] for name in tasks}
    for index, larger in enumerate(largest):
        known = [means[name][index] for name in tasks if math.isfinite(means[name][index])]
        best = (max if larger else min)(known) if known else math.nan
        for name, runs in tasks.items():
            result[name].append([_share(score, best, larger) for score in runs[index]])
    return result


def _mean_of_good(scores: Sequence[float]) -> float:
    good = [score for score in scores if math.isfinite(score)]
    return fmean(good) if good else math.nan


def _share(score: float, best: float, larger: bool) -> float:
    if not math.isfinite(score) or not math.isfinite(best):
        return 0.0
    return score / best if larger else best / score


def iqm(tasks: Sequence[Any]) -> Any:
    """The mean of the middle half of all runs of all tasks, each an array (..., runs)."""
    import numpy as np
    from scipy.stats import trim_mean

    return trim_mean(np.concatenate(tasks, -1), 0.25, axis=-1)


def profile(tasks: Sequence[Any], thresholds: Sequence[float]) -> Any:
    """The share of runs, each task counting the same, whose score is above each threshold: (..., thresholds) of tasks
    that are arrays (..., runs)."""
    import numpy as np

    above = [np.asarray(runs)[..., None] > np.asarray(thresholds) for runs in tasks]
    return np.mean([shares.mean(-2) for shares in above], 0)


def stratified(statistic: Any, tasks: Runs, level: float = 0.95) -> tuple[Any, Any]:
    """The percentile bootstrap interval of a statistic of `tasks`, runs being drawn anew within each task: RESAMPLES
    times, seeded. The statistic takes all draws at once, a leading axis."""
    import numpy as np

    random = np.random.default_rng(0)
    drawn = [random.choice(np.array(runs, float), (RESAMPLES, len(runs))) for runs in tasks]
    low, high = np.quantile(statistic(drawn), ((1 - level) / 2, (1 + level) / 2), axis=0)
    return low, high


class Ranks(NamedTuple):
    """mean: rank over tasks of each optimizer, 1 is best, ties share. p: of Friedman's test that all are alike; nan of
    two optimizers, or where all are equal. apart: by how much two mean ranks must differ at least, at 5 % over all
    pairs (Nemenyi's critical difference)."""

    mean: list[float]
    p: float
    apart: float


def rank(scores: Sequence[Sequence[float]]) -> Ranks:
    """Of optimizers that have a score, larger is better, for each of the same tasks: (optimizers, tasks)."""
    import numpy as np
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    values = np.asarray(scores, float)
    optimizers, tasks = values.shape
    different = optimizers > 2 and any(len(set(task)) > 1 for task in values.T)
    apart = studentized_range.ppf(0.95, optimizers, math.inf) * math.sqrt(optimizers * (optimizers + 1) / (12 * tasks))
    p = friedmanchisquare(*values).pvalue if different else math.nan
    return Ranks(rankdata(-values, axis=0).mean(1).tolist(), float(p), float(apart))
