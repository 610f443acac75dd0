"""Mean, standard deviation and interval over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Summary:
    """Of n runs. `std` (n - 1 in the denominator) and the 95 % Student-t interval of the mean need n >= 2."""

    n: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None

    def text(self, digits: int = 2) -> str:
        spread = "" if self.std is None else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({self.n})"

    def interval(self, digits: int = 2) -> str:
        return "" if self.low is None else f"[{self.low:.{digits}f}, {self.high:.{digits}f}]"


def summarize(values: Sequence[float]) -> Summary | None:
    """None for no values."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return Summary(n, values[0]) if n else None
    mean, std = fmean(values), stdev(values)
    half = float(t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def separate_winner(summaries: Sequence[Summary | None], largest: bool = True) -> int | None:
    """Index of the best mean if its interval touches no other's; None if anything is left open. A single run has no
    interval, so nothing it takes part in is separate."""
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


def probability_of_improvement(
    x: Sequence[float], y: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float] | None:
    """(P, low, high): the share of pairs of runs in which one of `x` exceeds one of `y`, ties counting half, and its
    bootstrap interval (percentile, 2000 resamples of both sides), which has no width where one side wins all.
    None below five runs a side: resampling them tells nothing.

    After Agarwal et al., Deep RL at the edge of the statistical precipice (2021), for a single task.
    """
    import numpy as np
    from scipy.stats import bootstrap

    def share(a: Any, b: Any, axis: int = -1) -> Any:
        a, b = a[..., :, None], b[..., None, :]
        return ((a > b) + 0.5 * (a == b)).mean((-2, -1))

    if min(len(x), len(y)) < 5:
        return None
    sides = (np.array(x, float), np.array(y, float))
    interval = bootstrap(
        sides, share, n_resamples=2000, vectorized=True, method="percentile", confidence_level=confidence, rng=0
    ).confidence_interval
    return float(share(*sides)), float(interval.low), float(interval.high)
