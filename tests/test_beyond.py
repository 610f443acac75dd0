"""What is asked beyond the paper, against transcriptions and counts by hand."""

import importlib
import importlib.util
import math
import sys
import types
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from scipy.stats import chi2

from acprop.report.beyond import (
    RESAMPLES,
    best_of,
    iqm,
    on_edge,
    oriented,
    profile,
    rank,
    relative,
    sensitivity,
    stratified,
    time_to_target,
)  # fmt: skip


def test_scores_are_turned_so_that_larger_is_better():
    assert [oriented(3.0, True), oriented(3.0, False), oriented(math.inf, False)] == [3.0, -3.0, -math.inf]
    assert oriented(math.nan, True) == oriented(math.nan, False) == -math.inf


def test_time_to_a_target():
    curve = [(10, 0.2), (20, 0.7), (30, 0.6), (40, 0.9)]
    assert [time_to_target(curve, target) for target in (0.1, 0.65, 0.8, 0.95)] == [10, 20, 40, math.inf]


def test_sensitivity():
    found = sensitivity({0.1: [10.0], 1e-4: [90.0, 91.0], 1e-3: [91.0, 91.4], 1e-2: [90.5]})
    assert found.best == 1e-3
    assert found.curve == [pytest.approx(point) for point in [(0.1, 90.5), (1, 91.2), (10, 90.5), (100, 10.0)]]
    assert found.decades == pytest.approx(2)
    assert found.open, "nothing below 1e-4 was tried"
    closed = sensitivity({1e-4: [50.0], 1e-3: [91.0], 1e-2: [50.0]})
    assert (closed.decades, closed.open) == (0.0, False)
    # a gap ends the range, whatever lies behind it; a score below 0 has its share of the best too
    assert sensitivity({1.0: [90.0], 2.0: [10.0], 4.0: [90.5]}).decades == 0
    assert sensitivity({1.0: [-10.0], 10.0: [-10.05], 100.0: [-11.0]}).decades == pytest.approx(1)


def test_edges_of_a_grid():
    grid = {"lr": [1e-4, 1e-3, 1e-2], "eps": [1e-8]}
    assert on_edge({"lr": 1e-3, "eps": 1e-8}, grid) == []
    assert on_edge({"lr": 1e-2, "eps": 1e-8}, grid) == ["lr = 0.01 is the largest tried"]
    assert on_edge({"lr": 1e-4, "eps": 1e-8}, grid) == ["lr = 0.0001 is the smallest tried"]
    decays = {"weight_decay": [0.0, 1e-4, 5e-4]}
    assert on_edge({"weight_decay": 0.0}, decays) == [], "nothing lies below"
    assert on_edge({"weight_decay": 5e-4}, decays) == ["weight_decay = 0.0005 is the largest tried"]


def test_the_best_of_k_trials_is_the_mean_over_all_choices():
    scores = np.random.default_rng(0).normal(size=7).tolist()
    for k in range(1, 8):
        assert best_of(scores, k) == pytest.approx(fmean(max(chosen) for chosen in combinations(scores, k)))
    assert best_of([-math.inf, 1.0, 2.0], 2) == pytest.approx((1 + 2 + 2) / 3), "a failed trial beside a good one"
    assert best_of([-math.inf, 1.0], 1) == -math.inf


def test_scores_of_several_tasks_as_shares_of_the_best():
    found = relative({"a": [[90.0, 80.0], [20.0]], "b": [[50.0], [10.0, math.inf]]}, [True, False])
    assert found["a"] == [[90 / 85, 80 / 85], [0.5]]
    assert found["b"] == [[50 / 85], [1.0, 0.0]], "a failed run is worth nothing"


def test_iqm_and_profiles_against_their_definitions():
    random = np.random.default_rng(1)
    tasks = [random.normal(size=8).tolist() for _ in range(3)]
    flat = np.sort(np.concatenate(tasks))
    assert iqm(tasks) == pytest.approx(flat[6:18].mean())
    thresholds = [-1.0, 0.0, 0.5]
    expected = [np.mean([[score > threshold for score in runs] for runs in tasks]) for threshold in thresholds]
    assert profile(tasks, thresholds) == pytest.approx(expected)
    # each task counts the same, however many runs it has
    assert profile([[1.0] * 9, [0.0]], [0.5]) == [0.5]


@pytest.fixture
def rliable(monkeypatch):
    """(library, metrics) of rliable, which needs arch's bootstrap alone; arch's __init__ fails with pandas 3."""
    package = types.ModuleType("arch")
    package.__path__ = importlib.util.find_spec("arch").submodule_search_locations
    monkeypatch.setitem(sys.modules, "arch", package)
    return importlib.import_module("rliable.library"), importlib.import_module("rliable.metrics")


@pytest.mark.filterwarnings("ignore:random_state is deprecated:FutureWarning")
def test_aggregates_are_rliables(rliable):
    library, metrics = rliable
    runs = np.random.default_rng(5).normal(size=(9, 4))  # (runs, tasks)
    tasks = runs.T.tolist()
    assert iqm(tasks) == pytest.approx(metrics.aggregate_iqm(runs))
    thresholds = np.array([-1.0, 0.0, 0.5])
    expected, (low, high) = (
        found["x"] for found in library.create_performance_profile({"x": runs}, thresholds, reps=RESAMPLES)
    )
    assert profile(tasks, thresholds) == pytest.approx(expected)
    own = stratified(lambda drawn: profile(drawn, thresholds), tasks)
    np.testing.assert_allclose(own, (low, high), atol=1 / 36, err_msg="one run of 36")
    (low, high) = library.get_interval_estimates(
        {"x": runs}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=RESAMPLES
    )[1]["x"]
    np.testing.assert_allclose(stratified(iqm, tasks), (low[0], high[0]), atol=0.05)


def test_the_bootstrap_is_stratified_and_covers():
    """Tasks on scales of their own: an interval that mixed them would be wide; this one is as narrow as the runs."""
    low, high = stratified(iqm, [[1.0, 1.01, 0.99, 1.0], [5.0, 5.01, 4.99, 5.0]])
    assert 0.0 < high - low < 0.1
    assert stratified(iqm, [[1.0, 2.0, 3.0]]) == stratified(iqm, [[1.0, 2.0, 3.0]]), "seeded"
    low, high = stratified(lambda tasks: profile(tasks, [0.0, 10.0]), [[1.0, -1.0, 2.0], [1.0, 1.0]])
    assert low.shape == high.shape == (2,)
    assert (low[0] < 5 / 6 < high[0], high[1]) == (True, 0.0)


def test_ranks_of_several_tasks_by_their_definitions():
    """Friedman's statistic written out, and the critical values of Demsar's Table 5 (a)."""
    scores = np.random.default_rng(3).normal(size=(4, 14)).round(1)  # with ties
    found = rank(scores)
    places = np.array([[1 + (task > one).sum() + ((task == one).sum() - 1) / 2 for one in task] for task in scores.T])
    assert found.mean == pytest.approx(places.mean(0))
    ties = sum(n**3 - n for task in scores.T for n in np.unique(task, return_counts=True)[1])
    statistic = 12 * 14 / (4 * 5) * ((places.mean(0) - 2.5) ** 2).sum() / (1 - ties / (14 * (4**3 - 4)))
    assert found.p == pytest.approx(chi2.sf(statistic, 3))
    for k, q in {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 10: 3.164}.items():
        assert rank(np.zeros((k, 6))).apart == pytest.approx(q * math.sqrt(k * (k + 1) / 36), abs=2e-3)


def test_ranks_where_all_are_equal_or_two():
    assert rank([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])[:1] == ([2.0, 2.0, 2.0],)
    two = rank([[2.0, 0.0], [1.0, 5.0]])
    assert (two.mean, math.isnan(two.p)) == ([1.5, 1.5], True)
