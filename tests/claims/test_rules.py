"""The rules themselves, at their edges. Their error rates: test_error_rates.py."""

import math

import pytest

from acprop.report.claims import rules
from acprop.report.claims.published import metric_of
from acprop.report.claims.rules import (
    CONSISTENT,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    TOO_FEW,
)  # fmt: skip
from acprop.report.stats import Blocks, Comparison

FIVE = [9.98, 9.99, 10.0, 10.01, 10.02]


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, REPRODUCED), (0.25, REPRODUCED), (0.28, INCONCLUSIVE), (0.4, NOT_REPRODUCED)]
)
def test_a_value_is_judged_by_the_interval_of_its_difference(shift, verdict):
    for sign in (1, -1):
        found = rules.of_value(FIVE, 0, 10 - sign * shift, 0.3, n=1)
        assert found.verdict == verdict
        assert found.told.startswith(f"ours - published {sign * shift + 0:+.2f}")
        assert "power" in found.told


def test_the_published_spread_enters_and_an_untold_number_of_runs_is_bracketed():
    assert rules.of_value(FIVE, 0, 10.1, 0.3, std=0.05, n=3).verdict == REPRODUCED
    assert rules.of_value(FIVE, 0, 10.1, 0.3, std=0.3, n=1).verdict == TOO_FEW
    told = rules.of_value(FIVE, 0, 10.1, 0.3, std=0.15)
    assert told.verdict == TOO_FEW
    assert "published n taken as 1; as 3: [" in told.told
    assert told.told.count("reproduced") == 1, "what three runs would have given"


def test_too_small_a_sample_says_how_many_runs_could_decide():
    assert rules.of_value([10.0], 0, 10.0, 0.3).verdict == TOO_FEW
    told = rules.of_value([9.9, 10.0, 10.1], 0, 10.0, 0.3, n=3)
    assert (told.verdict, told.told) == (TOO_FEW, "cannot be decided with 3 runs; 5 could")
    wide = rules.of_value([9.0, 9.5, 10.0, 10.5, 11.0], 0, 10.0, 0.3, n=1)
    assert wide.verdict == TOO_FEW
    assert wide.told.endswith("cannot be decided with 5 runs; no number could: the published value is itself of 1 run")
    assert rules.of_value([9.0, 9.5, 10.0, 10.5, 11.0], 0, 50.0, 0.3, n=1).verdict == NOT_REPRODUCED, (
        "clear all the same"
    )


@pytest.mark.parametrize(
    ("failed", "runs", "verdict"),
    [
        (1, 1, NOT_REPRODUCED),
        (1, 5, INCONCLUSIVE),
        (2, 5, NOT_REPRODUCED),
        (3, 5, NOT_REPRODUCED),
        (2, 10, INCONCLUSIVE),
    ],
)
def test_failed_runs_count(failed, runs, verdict):
    found = rules.of_value([0.0] * failed + [10.0] * (runs - failed), failed, 10.0, 0.3, n=1)
    assert found.verdict == verdict
    assert found.told.startswith(f"{failed} of {runs} run")


def comparison(better, greater, less):
    return Comparison(better, greater, less, 5, 5)


WON, LOST, OPEN = comparison(1.0, 0.004, 1.0), comparison(0.0, 1.0, 0.004), comparison(0.6, 0.3, 0.7)
TRIFLE = Comparison(0.66, 0.001, 0.999, 60, 60)


@pytest.mark.parametrize(
    ("comparisons", "verdict"),
    [
        ([WON, comparison(0.84, 0.048, 0.96)], REPRODUCED),
        ([WON, OPEN], INCONCLUSIVE),
        ([WON, TRIFLE], INCONCLUSIVE),
        ([WON, None], TOO_FEW),
        ([WON, LOST], NOT_REPRODUCED),
        ([None, LOST], NOT_REPRODUCED),
        ([OPEN] * 5 + [comparison(0.16, 0.96, 0.048)], INCONCLUSIVE),
        ([None], TOO_FEW),
        ([], TOO_FEW),
    ],
)
def test_best(comparisons, verdict):
    assert rules.of_best(dict(enumerate(comparisons))) == verdict


def test_a_diverged_run_is_the_worst_either_way():
    good, bad = [1.0] * 5, [math.inf] * 5
    assert rules.against(good, {"a": bad}, largest=False)["a"].better == 1.0
    assert rules.against(good, {"a": [-math.inf] * 5}, largest=True)["a"].better == 1.0
    assert rules.against(good, {"a": [math.nan] * 5}, largest=True)["a"].better == 1.0
    assert rules.against(good, {"a": good[:4]}, largest=True)["a"] is None


def test_settings_maps_intervals_and_facts():
    def verdict(better, greater, less, smallest=0.001):
        return rules.of_settings(Blocks(better, greater, less, smallest, 10, 5))

    assert verdict(0.9, 0.03, 1.0) == REPRODUCED
    assert verdict(0.7, 0.03, 1.0) == INCONCLUSIVE, "significant, and less than the minimal effect"
    assert verdict(0.1, 1.0, 0.03) == NOT_REPRODUCED
    assert verdict(1.0, 0.06, 1.0, smallest=0.06) == TOO_FEW
    assert [rules.of_map(n, 525) for n in (0, 5, 6)] == [REPRODUCED, REPRODUCED, NOT_REPRODUCED]
    assert [rules.of_interval(*n, -0.43) for n in ((-0.5, -0.45), (-0.4, -0.38), (-0.45, -0.4))] == [
        REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE
    ]  # fmt: skip
    assert [rules.of_fact(holds) for holds in (True, False)] == [REPRODUCED, NOT_REPRODUCED]


def test_what_a_wrong_optimizer_passes_is_consistent_and_no_more():
    assert rules.of_fact(True, ["sgd"]) == rules.of_map(0, 400, ["sgd"]) == CONSISTENT
    assert rules.of_interval(-0.5, -0.45, -0.43, ["sgd"]) == CONSISTENT
    assert rules.of_fact(False, ["sgd"]) == NOT_REPRODUCED


def test_margins_and_what_a_failed_run_is_worth():
    assert metric_of("fid").margin(12.44) == 1.0
    assert metric_of("fid").margin(43.43) == pytest.approx(2.1715)
    assert {metric_of(name).margin(50.0) for name in ("best_top1", "top1", "error", "bleu")} == {0.3}
    worst = {"best_top1": 0.0, "error": 100.0, "bleu": 0.0, "fid": math.inf, "train_loss": math.inf}
    assert {name: metric_of(name).worst for name in worst} == worst
