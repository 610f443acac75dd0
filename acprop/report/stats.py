"""The statistics of every table and verdict, exact where they can be: no test here leans on large samples.

summaries     mean, standard deviation and Student's interval over seeds
two samples   the exact permutation test of the Mann-Whitney statistic, and P(better) with its interval
blocks        the same test where cells of a sweep are copies of one another
equivalence   two one-sided tests against a published value, and their power

A run that failed is in every sample, as the worst value there is. tests/claims/test_error_rates.py holds each test to
its error rate by simulation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

FEWEST = 5  # runs; of fewer the points are shown, and no interval
UNBOUNDED = (-math.inf, math.inf)
PERCENT, POSITIVE, SHARE = (0.0, 100.0), (0.0, math.inf), (0.0, 1.0)

# -- summaries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """Of n runs. `std` (n - 1 in the denominator) needs two; the 95 % interval of the mean, Student's, needs FEWEST. Of
    fewer, `points` are the runs themselves."""

    n: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None
    points: tuple[float, ...] = ()

    def text(self, digits: int = 2) -> str:
        """`91.32 ± 0.11 (5)`, or the runs themselves: `91.20, 91.41 (2)`."""
        if self.points:
            return f"{', '.join(f'{point:.{digits}f}' for point in sorted(self.points))} ({self.n})"
        spread = "" if self.std is None else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({self.n})"

    def interval(self, digits: int = 2) -> str:
        return "" if self.low is None else f"[{self.low:.{digits}f}, {self.high:.{digits}f}]"


def summarize(values: Sequence[float], bounds: tuple[float, float] = UNBOUNDED) -> Summary | None:
    """None for no values. The interval is cut at `bounds`, the metric's range: the mean lies within it, so the rest of
    the interval covers the mean as often as the whole."""
    n = len(values)
    if n == 0:
        return None
    mean = fmean(values)
    std = stdev(values) if n > 1 and all(map(math.isfinite, values)) else None
    if n < FEWEST:
        return Summary(n, mean, std, points=tuple(values))
    if std is None:
        return Summary(n, mean)
    from scipy.special import stdtrit  # scipy.stats takes a second to load, at the end of every command

    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n)
    return Summary(n, mean, std, max(bounds[0], mean - half), min(bounds[1], mean + half))


def separate_winner(summaries: Sequence[Summary | None], largest: bool = True) -> int | None:
    """Index of the best mean if its interval touches no other's; None if anything is left open. Too few runs have no
    interval, so nothing they take part in is separate."""
    intervals = []
    for index, s in enumerate(summaries):
        if s is None:
            continue
        if s.low is None or s.high is None:
            return None
        intervals.append((s.low, s.high, index) if largest else (-s.high, -s.low, index))
    intervals.sort(reverse=True)
    if len(intervals) < 2 or max(high for _, high, _ in intervals[1:]) >= intervals[0][0]:
        return None
    return intervals[0][2]


# -- two samples: who is better --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Of n runs with m others.

    better: the share of pairs in which one of the n is larger, ties counting half: P(better).
    greater, less: exact one-sided p-values that it is above, or below, what chance gives.
    """

    better: float
    greater: float
    less: float
    n: int
    m: int

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Of P(better), whatever the two distributions are: Clopper and Pearson's for min(n, m) independent pairs, of
        which a share `better` was won. P(better) is the mean over all ways to pair the runs, which varies less than any
        single one (Hoeffding, Probability inequalities for sums of bounded random variables, 1963, section 5), so the
        interval is too wide rather than too narrow."""
        from scipy.special import betaincinv

        pairs = min(self.n, self.m)
        won = self.better * pairs
        low = float(betaincinv(won, pairs - won + 1, level / 2)) if won > 0 else 0.0
        high = float(betaincinv(won + 1, pairs - won, 1 - level / 2)) if won < pairs else 1.0
        return low, high


def compare(x: Sequence[float], y: Sequence[float]) -> Comparison:
    """Is a run of `x` larger than one of `y`? The exact permutation distribution of the rank sum, ties included, by the
    shift algorithm (Streitberg and Roehmel, Exact distributions for permutation and rank tests, 1986). NaN counts as
    minus infinity; both samples need a value."""
    from scipy.stats import rankdata

    values = [-math.inf if math.isnan(value) else value for value in (*x, *y)]
    ranks = tuple(int(rank) for rank in 2 * rankdata(values))  # doubled: a tie's rank may end in a half
    total = sum(ranks[: len(x)])
    above = _tail(tuple(sorted(ranks)), len(x))
    n, m = len(x), len(y)
    better = (total / 2 - n * (n + 1) / 2) / (n * m)
    return Comparison(better, float(above[total]), float(1 - above[total + 1]), n, m)


@lru_cache(maxsize=4096)
def _tail(ranks: tuple[int, ...], n: int) -> Any:
    """(sum + 2,): the share of all choices of n of the ranks whose sum is at least the index."""
    import numpy as np

    ways = np.zeros((n + 1, sum(ranks) + 1))  # [how many were chosen, their sum]
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    above = np.cumsum(ways[n][::-1])[::-1] / ways[n].sum()
    return np.append(above, 0.0)


def pairs_to_win(n: int, level: float) -> int:
    """Of the n * n pairs of two samples of n without ties, the fewest won that are significant; more if none is."""
    above = _tail(tuple(range(2, 4 * n + 1, 2)), n)
    return next((won for won in range(n * n + 1) if above[2 * won + n * (n + 1)] <= level), n * n + 1)


def probability_of_improvement(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float] | None:
    """(P, low, high): P(a run of `x` is larger than one of `y`), its 95 % interval; None below FEWEST runs a side."""
    if min(len(x), len(y)) < FEWEST:
        return None
    found = compare(x, y)
    return (found.better, *found.interval())


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm, A simple sequentially rejective multiple test procedure, 1979): where each at most
    `level` is rejected, the chance of a single false rejection is at most `level`."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


# -- blocks: cells that are copies of one another --------------------------------------------------------------------

Curve = Sequence[float]  # one seed's values over the cells of a block


@dataclass(frozen=True)
class Blocks:
    """better: share of (cell, pair of runs) that the subject wins, ties half. greater, less: exact one-sided p-values.
    smallest: the p-value of a subject that wins everything. cells, blocks: how many told anything."""

    better: float
    greater: float
    less: float
    smallest: float
    cells: int
    blocks: int


def compare_blocks(blocks: Sequence[tuple[Sequence[Curve], Sequence[Curve]]]) -> Blocks | None:
    """Permutation within blocks: (curves of the subject, curves of its rival) of each block.

    What may be exchanged under equality is a whole curve: its cells share a seed and an order of the data, so they are
    no independent witnesses. Within a block every way to deal the curves to the two sides is as likely; blocks are
    independent. None if no block has a cell.
    """
    import numpy as np

    distribution, won, pairs, cells, used = np.ones(1), 0, 0, 0, 0
    for ours, theirs in blocks:
        curves = np.array([*ours, *theirs], float)
        if not curves.size:
            continue
        # [i, j]: twice the number of cells in which curve i is above curve j
        wins = (2 * (curves[:, None] > curves) + (curves[:, None] == curves)).sum(-1)
        everyone = set(range(len(curves)))
        outcomes = [
            int(wins[np.ix_(chosen, sorted(everyone - set(chosen)))].sum())
            for chosen in combinations(range(len(curves)), len(ours))
        ]  # the first is what happened
        counted = np.bincount(outcomes, minlength=2 * curves.shape[1] * len(ours) * len(theirs) + 1)
        distribution = np.convolve(distribution, counted / len(outcomes))
        won += outcomes[0]
        pairs += curves.shape[1] * len(ours) * len(theirs)
        cells += curves.shape[1]
        used += 1
    if not used:
        return None
    return Blocks(
        won / (2 * pairs), float(distribution[won:].sum()), float(distribution[: won + 1].sum()),
        math.prod(1 / math.comb(len(ours) + len(theirs), len(ours)) for ours, theirs in blocks if np.size(ours)),
        cells, used,
    )  # fmt: skip


# -- equivalence with a published value ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """A published number: its standard deviation over runs if told, and of how many runs it is the mean. Without a
    standard deviation its runs are taken to vary as ours do."""

    value: float
    n: int
    std: float | None = None


def difference(
    mean: float, std: float, n: int, published: Published, level: float = 0.05
) -> tuple[float, float, float]:
    """(ours minus published, low, high): the interval of level 1 - 2 `level` that two one-sided tests at `level` set
    against a margin (Schuirmann, A comparison of the two one-sided tests procedure and the power approach, 1987). A
    published standard deviation is taken as known, so Welch's degrees of freedom come from ours alone."""
    from scipy.special import stdtrit

    error, degrees = _error(std, n, published)
    half = float(stdtrit(degrees, 1 - level)) * error
    return mean - published.value, mean - published.value - half, mean - published.value + half


def mean_difference(x: Sequence[float], y: Sequence[float], level: float = 0.05) -> tuple[float, float, float]:
    """(mean of x minus mean of y, low, high): Welch's interval of level 1 - 2 `level`."""
    from scipy.stats import ttest_ind

    interval = ttest_ind(x, y, equal_var=False).confidence_interval(1 - 2 * level)
    return fmean(x) - fmean(y), float(interval.low), float(interval.high)


def _error(std: Any, n: int, published: Published) -> tuple[Any, Any]:
    """(standard error of the difference, its degrees of freedom)."""
    import numpy as np

    if published.std is None:
        return std * math.sqrt(1 / n + 1 / published.n), n - 1
    ours, theirs = std**2 / n, published.std**2 / published.n
    both = np.maximum(ours + theirs, np.finfo(float).tiny)
    return both**0.5, (n - 1) / np.maximum(ours / both, 1e-6) ** 2


def power(std: float, n: int, published: Published, margin: float, level: float = 0.05) -> float:
    """The chance that an exact replication, n runs of the same mean and of standard deviation `std`, is called
    equivalent within `margin`: the normal probability of the difference, averaged over the chi distribution of the
    standard deviation that such runs show."""
    import numpy as np
    from scipy.special import chdtri, ndtr, stdtrit

    if n < FEWEST:
        return 0.0
    grid = (np.arange(200) + 0.5) / 200
    std = max(std, 1e-12)
    shown = std * np.sqrt(chdtri(n - 1, grid) / (n - 1))  # equally likely standard deviations
    error, degrees = _error(shown, n, published)
    room = margin - stdtrit(degrees, 1 - level) * error
    return float(np.mean(np.maximum(0.0, 2 * ndtr(room / _error(std, n, published)[0]) - 1)))


def runs_needed(std: float, published: Published, margin: float, wanted: float = 0.5, most: int = 1000) -> int | None:
    """The fewest runs with which the power is `wanted`; None if `most` are not enough."""
    if power(std, most, published, margin) < wanted:
        return None
    low, high = FEWEST - 1, most  # the power of `low` is too small, that of `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(std, middle, published, margin) >= wanted else (middle, high)
    return high
