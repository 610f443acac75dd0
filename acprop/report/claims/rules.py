"""The rules that turn numbers into a verdict. docs/claims.md says them in words and why the margins are what they are.

values      equivalence: the 95 % interval of our mean lies within published +- margin
rankings    bootstrap: P(better) against every rival, its interval corrected for their number
settings    sign test over the settings that both optimizers ran
maps        the share of cells that differ
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from acprop.report.stats import Summary, probability_of_improvement
from acprop.runs.record import Record

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
SMALL_SCALE, NOT_RUN = "run at small scale only", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, SMALL_SCALE, NOT_RUN)

LEVEL = 0.05  # of every test
CELLS = 0.01  # of a map may differ


class Metric(NamedTuple):
    """label: as people read it; largest: larger is better; margin: of a published value; of: its value in a record."""

    label: str
    largest: bool
    margin: Callable[[float], float]
    of: Callable[[Record], float]


def _mean_return(record: Record) -> float:
    from experiments.rl.report import mean_return

    return mean_return(record)


METRICS = {
    "best_top1": Metric("test top-1 of the best epoch (%)", True, lambda v: 0.3, lambda r: r.summary["best"]["value"]),
    "top1": Metric("test top-1 of the last epoch (%)", True, lambda v: 0.3, lambda r: r.summary["final"]["test/top1"]),
    "error": Metric("test error (%)", False, lambda v: 0.3, lambda r: 100 - r.summary["final"]["test/top1"]),
    "bleu": Metric("BLEU", True, lambda v: 0.3, lambda r: r.summary["final"]["test/bleu"]),
    "fid": Metric("best FID", False, lambda v: max(1.0, 0.05 * v), lambda r: r.summary["best"]["value"]),
    "denominator": Metric(
        "mean denominator", True, lambda v: math.nan, lambda r: r.summary["final"]["train/denominator"]
    ),
    "train_loss": Metric("training loss", False, lambda v: math.nan, lambda r: r.summary["final"]["train/loss"]),
    "return": Metric("mean return over training", True, lambda v: math.nan, _mean_return),
}


def of_value(summary: Summary | None, published: float, margin: float) -> str:
    """No finished run among those that ended: the published value did not come out. One run has no interval."""
    if summary is None:
        return NOT_REPRODUCED
    if summary.low is None or summary.high is None:
        return INCONCLUSIVE
    if published - margin <= summary.low and summary.high <= published + margin:
        return REPRODUCED
    if summary.high < published - margin or published + margin < summary.low:
        return NOT_REPRODUCED
    return INCONCLUSIVE


Comparison = tuple[float, float, float]  # P(better) and its interval


def compare(
    subject: Sequence[float], rivals: Mapping[str, Sequence[float]], largest: bool
) -> dict[str, Comparison | None]:
    """P(subject better) with an interval of level 1 - LEVEL / number of rivals (Bonferroni), for each rival; None below
    five runs a side. Values that are not finite count as the worst."""

    def worth(values: Sequence[float]) -> list[float]:
        return [(v if largest else -v) if math.isfinite(v) else -math.inf for v in values]

    confidence = 1 - LEVEL / max(1, len(rivals))
    return {
        name: probability_of_improvement(worth(subject), worth(values), confidence) for name, values in rivals.items()
    }


def of_best(comparisons: Mapping[str, Comparison | None]) -> str:
    """Better than every rival; or worse than at least one."""
    known = [comparison for comparison in comparisons.values() if comparison]
    if any(high < 0.5 for _, _, high in known):
        return NOT_REPRODUCED
    if known and len(known) == len(comparisons) and all(low > 0.5 for _, low, _ in known):
        return REPRODUCED
    return INCONCLUSIVE


def of_settings(wins: int, losses: int) -> str:
    """Exact sign test, two-sided, over settings; ties are left out."""
    from scipy.stats import binomtest

    if wins + losses == 0 or binomtest(wins, wins + losses).pvalue >= LEVEL:
        return INCONCLUSIVE
    return REPRODUCED if wins > losses else NOT_REPRODUCED


def of_map(differ: int, cells: int) -> str:
    return REPRODUCED if differ <= CELLS * cells else NOT_REPRODUCED


def of_fact(holds: bool) -> str:
    """For what is computed exactly, without chance."""
    return REPRODUCED if holds else NOT_REPRODUCED


def of_interval(low: float, high: float, bound: float) -> str:
    """That a quantity is below `bound`."""
    return REPRODUCED if high < bound else NOT_REPRODUCED if low > bound else INCONCLUSIVE
