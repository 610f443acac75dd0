"""Mean, standard deviation and interval over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


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
