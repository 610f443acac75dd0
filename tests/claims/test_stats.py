"""The exact tests against scipy's, and against a count by hand."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats as scipy_stats

from acprop.report.stats import (
    FEWEST,
    Published,
    Summary,
    compare,
    compare_blocks,
    difference,
    holm,
    pairs_to_win,
    power,
    runs_needed,
    summarize,
)  # fmt: skip


@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 8), (10, 10)])
def test_without_ties_it_is_scipys_exact_mann_whitney(n, m):
    random = np.random.default_rng(n)
    for _ in range(5):
        x, y = random.normal(0.5, 1, n), random.normal(size=m)
        found = compare(x, y)
        for alternative in ("greater", "less"):
            exact = scipy_stats.mannwhitneyu(x, y, alternative=alternative, method="exact")
            assert getattr(found, alternative) == pytest.approx(exact.pvalue, rel=1e-12)
        assert found.better == pytest.approx(exact.statistic / (n * m))


def test_with_ties_it_is_scipys_permutation_test():
    def rank_sum(x, y):
        return scipy_stats.rankdata(np.concatenate([x, y]))[: len(x)].sum()

    random = np.random.default_rng(0)
    for high in (2, 3, 6):
        x, y = random.integers(0, high, 5), random.integers(0, high, 6)
        found = compare(x, y)
        for alternative in ("greater", "less"):
            exact = scipy_stats.permutation_test(
                (x, y), rank_sum, n_resamples=np.inf, alternative=alternative, vectorized=False
            )
            assert getattr(found, alternative) == pytest.approx(exact.pvalue, rel=1e-12)


def test_large_samples_stay_finite_and_what_is_not_a_number_is_worst():
    random = np.random.default_rng(0)
    x, y = random.normal(0.4, 1, 30), random.normal(size=30)
    exact = scipy_stats.mannwhitneyu(x, y, alternative="greater", method="exact")
    assert compare(x, y).greater == pytest.approx(exact.pvalue, rel=1e-9)
    assert compare([math.nan, 1.0], [0.0, -math.inf]).better == pytest.approx((0.5 + 2) / 4)


def test_pairs_to_win():
    assert pairs_to_win(5, 0.05) == 21, "12 of 252 orderings"
    assert pairs_to_win(3, 0.05) == 9
    assert pairs_to_win(2, 0.05) == 5, "two against two prove nothing"


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_blocks_are_what_a_count_of_all_labellings_gives():
    random = np.random.default_rng(1)
    blocks = [(random.integers(0, 4, (2, 3)), random.integers(0, 4, (3, 3))) for _ in range(2)]
    blocks.append((random.integers(0, 4, (1, 2)), random.integers(0, 4, (1, 2))))

    def pairs(ours, theirs):
        return sum(
            float(a > b) + 0.5 * float(a == b) for x, y in product(ours, theirs) for a, b in zip(x, y, strict=True)
        )

    every = []
    for ours, theirs in blocks:
        curves = [*ours, *theirs]
        every.append(
            [
                pairs([curves[i] for i in chosen], [c for i, c in enumerate(curves) if i not in chosen])
                for chosen in combinations(range(len(curves)), len(ours))
            ]
        )
    sums = [sum(one) for one in product(*every)]
    observed = sum(one[0] for one in every)
    found = compare_blocks([*blocks, ([], [])])
    assert found.better == pytest.approx(observed / (2 * 3 * 3 + 2 * 3 * 3 + 2))
    assert found.greater == pytest.approx(np.mean([s >= observed for s in sums]))
    assert found.less == pytest.approx(np.mean([s <= observed for s in sums]))
    assert (found.smallest, found.blocks, found.cells) == (pytest.approx(1 / (10 * 10 * 2)), 3, 8)
    assert compare_blocks([]) is None


def test_the_difference_of_two_means():
    # no published spread: one run more of ours, on the scale of the pooled Student test with one run on a side
    value, low, high = difference(10.2, 0.3, 5, Published(10.0, 1))
    half = scipy_stats.t.ppf(0.95, 4) * 0.3 * math.sqrt(1 / 5 + 1)
    assert (value, low, high) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    # a known one: Welch
    _, low, high = difference(10.2, 0.3, 5, Published(10.0, 4, 0.4))
    ours, theirs = 0.09 / 5, 0.16 / 4
    half = scipy_stats.t.ppf(0.95, 4 * (ours + theirs) ** 2 / ours**2) * math.sqrt(ours + theirs)
    assert (low, high) == pytest.approx((0.2 - half, 0.2 + half))
    assert difference(10.0, 0.0, 5, Published(10.0, 1, 0.0))[1:] == pytest.approx((0.0, 0.0))


def test_power_grows_with_runs_and_ends_where_the_published_spread_is_too_wide():
    one = Published(0.0, 1)
    assert power(0.1, FEWEST - 1, one, 0.3) == 0.0
    assert power(0.05, 5, one, 0.3) > power(0.1, 5, one, 0.3) > power(0.2, 5, one, 0.3)
    needed = runs_needed(0.2, Published(0.0, 3), 0.3)
    assert power(0.2, needed, Published(0.0, 3), 0.3) >= 0.5 > power(0.2, needed - 1, Published(0.0, 3), 0.3)
    assert runs_needed(2.0, Published(43.43, 1, 4.38), 2.17) is None
    assert power(0.0, 5, one, 0.3) == 1.0


def test_summaries():
    assert summarize([]) is None
    few = summarize([2.0, 1.0])
    assert (few.text(), few.interval(), few.low) == ("1.00, 2.00 (2)", "", None)
    assert summarize([1.0]).text() == "1.00 (1)"
    values = [1.0, 2.0, 3.0, 4.0, 90.0]
    whole, cut = summarize(values), summarize(values, (0.0, 50.0))
    assert whole.low < 0 < 50 < whole.high
    assert (cut.low, cut.high, cut.mean) == (0.0, 50.0, whole.mean)
    assert whole.text() == "20.00 ± 39.15 (5)"
    assert summarize([1.0] * 5 + [math.inf]) == Summary(6, math.inf), "no interval with a failure among them"
