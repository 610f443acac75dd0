"""The rules that turn numbers into a verdict. docs/claims.md says them in words, with the error rates that
tests/claims/test_error_rates.py simulates, and why the margins are what they are.

values      equivalence: two one-sided tests of ours minus published against the margin; failed runs are failures
rankings    exact permutation test against every rival (all must pass), or of any rival above (Holm); minimal effect
settings    permutation within blocks of a learning rate
maps        the share of cells that differ
facts       computed without chance; only what no wrong optimizer passes is more than "consistent with"
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from acprop.report.records import failed
from acprop.report.stats import (
    FEWEST,
    Blocks,
    Comparison,
    Published,
    compare,
    difference,
    holm,
    pairs_to_win,
    power,
    runs_needed,
    summarize,
)  # fmt: skip
from acprop.runs.record import Record

REPRODUCED, CONSISTENT, NOT_REPRODUCED = "reproduced", "consistent with", "not reproduced"
CONTRADICTED = "contradicted by the paper itself"
INCONCLUSIVE, TOO_FEW = "inconclusive", "too few runs"
SMALL_SCALE, NOT_RUN = "run at small scale only", "not run"
VERDICTS = (
    REPRODUCED, CONSISTENT, NOT_REPRODUCED, CONTRADICTED, INCONCLUSIVE, TOO_FEW, SMALL_SCALE, NOT_RUN,
)  # fmt: skip

# What kind of test a verdict comes from
TESTED = "tested"  # by a criterion that was not chosen to give the outcome
FITTED = "fitted afterwards"  # by a criterion that was chosen to give the published picture
OWN = "own settings"  # the paper's words on a task or at settings of our own
KINDS = (TESTED, FITTED, OWN)

LEVEL = 0.05  # of every test
MINIMAL = 0.75  # the smallest P(better) that is called better (Bouthillier et al. 2021)
CELLS = 0.01  # of a map may differ
FAILURES = 0.05  # the share of failed runs that a published value may hide
UNTOLD = (1, 3)  # of how many runs a published value may be the mean where nobody says
POWER = 0.5  # below it a test is no test


class Judgement(NamedTuple):
    """told: what the row says of the test: its interval, its power, the runs that could decide."""

    verdict: str
    told: str = ""


class Metric(NamedTuple):
    """label: as people read it; largest: larger is better; bounds: its range, whose worse end is what a failed run is
    worth; margin: of a published value; of: its value in a record; spread: a standard deviation below it is none of
    training seeds."""

    label: str
    largest: bool
    bounds: tuple[float, float]
    margin: Callable[[float], float]
    of: Callable[[Record], float]
    spread: float = 0.0

    @property
    def worst(self) -> float:
        return self.bounds[0] if self.largest else self.bounds[1]

    def worth(self, record: Record) -> float:
        """Of a run that failed: the worst there is."""
        return self.worst if failed(record) else self.of(record)


# -- values ----------------------------------------------------------------------------------------------------------


def of_value(
    values: Sequence[float], failures: int, value: float, margin: float, std: float | None = None, n: int | None = None
) -> Judgement:
    """Do our runs have the published mean, within the margin?

    Args:
        values: of every run that ended, failed ones at the metric's worst.
        failures: how many of them failed.
        std, n: the published standard deviation and number of runs, None where not told.
    """
    runs = f"{len(values)} run{'s' * (len(values) != 1)}"
    if failures:
        told = f"{failures} of {runs} failed"
        if _tail(failures, len(values)) <= LEVEL:
            return Judgement(NOT_REPRODUCED, told)
        return Judgement(INCONCLUSIVE, f"{told}, which leaves the value open")
    summary = summarize(values)
    if summary is None or summary.std is None:
        return Judgement(TOO_FEW, f"cannot be decided with {runs}: no spread is known")
    every = [Published(value, count, std) for count in ((n,) if n else UNTOLD)]
    if len(values) < FEWEST:
        return Judgement(TOO_FEW, f"cannot be decided with {runs}; {_could(summary.std, every[0], margin)}")
    found = [difference(summary.mean, summary.std, len(values), published) for published in every]
    verdicts = [_of_interval(low, high, margin) for _, low, high in found]
    chance = power(summary.std, len(values), every[0], margin)
    told = f"ours - published {found[0][0]:+.2f} [{found[0][1]:.2f}, {found[0][2]:.2f}], margin {margin:.2f}"
    if n is None:
        told += f" (published n taken as 1; as 3: [{found[1][1]:.2f}, {found[1][2]:.2f}], {verdicts[1]})"
    told += f", power {chance:.0%}"
    if verdicts[0] == INCONCLUSIVE and chance < POWER:
        return Judgement(TOO_FEW, f"{told}: cannot be decided with {runs}; {_could(summary.std, every[0], margin)}")
    return Judgement(verdicts[0], told)  # of n = 1 the interval is wider: the worse of the two


def _tail(failures: int, runs: int) -> float:
    """The chance of so many failures or more where the share that fails is FAILURES."""
    return (
        sum(math.comb(runs, k) * FAILURES**k * (1 - FAILURES) ** (runs - k) for k in range(failures, runs + 1)) - 1e-12
    )  # a single run is on the border


def _of_interval(low: float, high: float, margin: float) -> str:
    if -margin <= low and high <= margin:
        return REPRODUCED
    return NOT_REPRODUCED if high < -margin or margin < low else INCONCLUSIVE


def _could(std: float, published: Published, margin: float) -> str:
    """Which number of runs could decide, at the spread seen."""
    needed = runs_needed(std, published, margin)
    if needed is None:
        return f"no number could: the published value is itself of {published.n} run{'s' * (published.n > 1)}"
    return f"{needed} could"


# -- rankings --------------------------------------------------------------------------------------------------------


def against(
    subject: Sequence[float], rivals: Mapping[str, Sequence[float]], largest: bool
) -> dict[str, Comparison | None]:
    """The subject with each rival; None below FEWEST runs a side. Values that are not finite count as the worst."""

    def worth(values: Sequence[float]) -> list[float]:
        return [(v if largest else -v) if math.isfinite(v) else -math.inf for v in values]

    return {
        name: compare(worth(subject), worth(values)) if min(len(subject), len(values)) >= FEWEST else None
        for name, values in rivals.items()
    }


def is_better(found: Comparison) -> bool:
    """Beyond chance, and by an effect that is worth the word."""
    return found.greater <= LEVEL and found.better >= MINIMAL


def of_best(comparisons: Mapping[str, Comparison | None]) -> str:
    """Better than every rival: an intersection-union test, each at LEVEL. Worse than some rival: a union, by Holm."""
    known = [comparison for comparison in comparisons.values() if comparison]
    worse = holm([comparison.less for comparison in known])
    if any(p <= LEVEL and c.better <= 1 - MINIMAL for p, c in zip(worse, known, strict=True)):
        return NOT_REPRODUCED
    if known and len(known) == len(comparisons):
        return REPRODUCED if all(map(is_better, known)) else INCONCLUSIVE
    return TOO_FEW


def ranking_power(published: float, rivals: Sequence[float], std: float, n: int, largest: bool) -> float:
    """The chance that n runs of each, normal about the published values and of standard deviation `std`, call the
    subject better than every rival. Simulated: 2,000 draws, seeded."""
    import numpy as np

    random = np.random.default_rng(0)
    sign = 1 if largest else -1
    ours = random.normal(sign * published, std, (2000, n))
    needed = max(pairs_to_win(n, LEVEL), MINIMAL * n * n)
    holds = np.ones(len(ours), bool)
    for rival in rivals:
        theirs = random.normal(sign * rival, std, ours.shape)
        won = (ours[:, :, None] > theirs[:, None]).sum((1, 2))
        holds &= won >= needed
    return float(holds.mean())


def of_all(verdicts: Sequence[str], wanted: int) -> str:
    """Of a claim that holds if each of `wanted` parts does: each is tested at LEVEL."""
    if NOT_REPRODUCED in verdicts:
        return NOT_REPRODUCED
    if len(verdicts) < wanted:
        return TOO_FEW
    return REPRODUCED if set(verdicts) == {REPRODUCED} else INCONCLUSIVE


# -- settings, maps, facts -------------------------------------------------------------------------------------------


def of_settings(found: Blocks) -> str:
    """Better over a sweep, one block a learning rate."""
    if found.greater <= LEVEL and found.better >= MINIMAL:
        return REPRODUCED
    if found.less <= LEVEL and found.better <= 1 - MINIMAL:
        return NOT_REPRODUCED
    return TOO_FEW if found.smallest > LEVEL else INCONCLUSIVE


def of_map(differ: int, cells: int, mutants: Sequence[str] = ()) -> str:
    return of_fact(differ <= CELLS * cells, mutants)


def of_fact(holds: bool, mutants: Sequence[str] = ()) -> str:
    """For what is computed exactly, without chance. `mutants`: the wrong optimizers that pass the same test."""
    return NOT_REPRODUCED if not holds else CONSISTENT if mutants else REPRODUCED


def of_interval(low: float, high: float, bound: float, mutants: Sequence[str] = ()) -> str:
    """That a quantity is below `bound`."""
    if high < bound:
        return CONSISTENT if mutants else REPRODUCED
    return NOT_REPRODUCED if low > bound else INCONCLUSIVE
