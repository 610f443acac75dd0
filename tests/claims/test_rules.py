"""The rules themselves, at their edges."""

import math

import pytest

from acprop.report.claims import rules
from acprop.report.claims.rules import INCONCLUSIVE, METRICS, NOT_REPRODUCED, REPRODUCED
from acprop.report.stats import Summary


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (9.7, 10.3, REPRODUCED),
        (9.69, 10.3, INCONCLUSIVE),
        (9.7, 10.31, INCONCLUSIVE),
        (9.0, 11.0, INCONCLUSIVE),
        (9.0, 9.69, NOT_REPRODUCED),
        (10.31, 11.0, NOT_REPRODUCED),
        (9.0, 9.71, INCONCLUSIVE),
    ],
)
def test_equivalence(low, high, verdict):
    assert rules.of_value(Summary(3, (low + high) / 2, 1.0, low, high), 10.0, 0.3) == verdict


def test_one_run_says_nothing_and_none_that_ended_well_is_no_reproduction():
    assert rules.of_value(Summary(1, 10.0), 10.0, 0.3) == INCONCLUSIVE
    assert rules.of_value(None, 10.0, 0.3) == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("comparisons", "verdict"),
    [
        ([(1.0, 1.0, 1.0), (0.8, 0.51, 1.0)], REPRODUCED),
        ([(1.0, 1.0, 1.0), (0.8, 0.5, 1.0)], INCONCLUSIVE),
        ([(1.0, 1.0, 1.0), None], INCONCLUSIVE),
        ([(1.0, 1.0, 1.0), (0.2, 0.0, 0.49)], NOT_REPRODUCED),
        ([None, (0.2, 0.0, 0.49)], NOT_REPRODUCED),
        ([None], INCONCLUSIVE),
        ([], INCONCLUSIVE),
    ],
)
def test_best(comparisons, verdict):
    assert rules.of_best(dict(enumerate(comparisons))) == verdict


def test_more_rivals_widen_the_interval():
    x, y = [1.0, 3.0, 5.0, 7.0, 9.0, 4.0], [2.0, 0.0, 4.0, 6.0, 1.0, 3.0]
    alone = rules.compare(x, {"a": y}, largest=True)["a"]
    among = rules.compare(x, dict.fromkeys("abcdef", y), largest=True)["a"]
    assert alone[0] == among[0]
    assert among[1] < alone[1] < 0.5 < alone[0]
    flipped = rules.compare(x, {"a": y}, largest=False)["a"]
    assert flipped[0] == pytest.approx(1 - alone[0])


def test_a_diverged_run_is_the_worst_either_way():
    good, bad = [1.0] * 5, [math.inf] * 5
    assert rules.compare(good, {"a": bad}, largest=False)["a"] == (1, 1, 1)
    assert rules.compare(good, {"a": [-math.inf] * 5}, largest=True)["a"] == (1, 1, 1)
    assert rules.compare(good, {"a": [math.nan] * 5}, largest=True)["a"] == (1, 1, 1)


def test_settings_maps_intervals_and_facts():
    assert [rules.of_settings(*n) for n in ((6, 0), (5, 0), (0, 6), (0, 0))] == [
        REPRODUCED, INCONCLUSIVE, NOT_REPRODUCED, INCONCLUSIVE
    ]  # fmt: skip
    assert [rules.of_map(n, 525) for n in (0, 5, 6)] == [REPRODUCED, REPRODUCED, NOT_REPRODUCED]
    assert [rules.of_interval(*n, -0.43) for n in ((-0.5, -0.45), (-0.4, -0.38), (-0.45, -0.4))] == [
        REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE
    ]  # fmt: skip
    assert [rules.of_fact(holds) for holds in (True, False)] == [REPRODUCED, NOT_REPRODUCED]


def test_margins():
    assert METRICS["fid"].margin(12.44) == 1.0
    assert METRICS["fid"].margin(43.43) == pytest.approx(2.1715)
    assert {METRICS[name].margin(50.0) for name in ("best_top1", "top1", "error", "bleu")} == {0.3}
    assert [METRICS[name].largest for name in ("best_top1", "error", "bleu", "fid")] == [True, False, True, False]
