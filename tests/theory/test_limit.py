"""The limit boundary: solved in experiments/theory/limit.py, held here to long simulations on both sides of it."""

import numpy as np
import pytest

from experiments.theory.limit import AXES, drift, orbit
from experiments.theory.problems import PERIODIC
from experiments.theory.recurrences import start


def test_orbit_solves_its_recurrence():
    random = np.random.default_rng(0)
    z, decay = random.normal(size=7), np.array([[0.2], [0.9], [0.999]])
    y = orbit(z, decay)
    assert y.shape == (3, 7)
    np.testing.assert_allclose(y, decay * np.roll(y, 1, -1) + (1 - decay) * z, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(orbit(z, 0.9), y[1])


@pytest.mark.parametrize("problem", PERIODIC)
@pytest.mark.parametrize("name", sorted(AXES.keys() - {"adopt"}))
def test_drift_is_the_steady_sum_of_the_recurrence(name, problem):
    """When the moments have forgotten their start, the steps of a period sum to the drift: over P, beta1 and beta2."""
    gradient = PERIODIC[problem].gradient
    b2 = np.array([0.5, 0.8, 0.95])
    for P, b1 in ((4, 0.3), (9, 0.9), (10, 0.5), (21, 0.9)):
        rule = start(name, b1, b2)
        steps = np.array([rule.send(gradient(t, P) + 0 * b2) for t in range(1, 1000 // P * P + 1)])[-P:]
        exact = drift(name, gradient, P, b1, b2)
        if name == "adopt_unclipped":  # the mean of its steps keeps their sum, not the sum of their sizes
            assert (np.sign(steps.sum(0)) == np.sign(exact)).all()
        else:
            np.testing.assert_allclose(steps.sum(0) / np.abs(steps).sum(0), exact, rtol=1e-5, atol=1e-7)


def test_variants_of_the_first_steps_share_a_limit():
    assert AXES["adopt"] is AXES["adopt_unclipped"]
    assert AXES["acprop"] is AXES["acprop_skip"]


def root(name, problem, P, b1):
    """Where the row of P changes sides, as -log10(1 - beta2), by bisection."""

    def sign(x):
        return drift(name, PERIODIC[problem].gradient, P, b1, np.array([1 - 10.0**-x]))[0] > 0

    low, high = 0.1, 2.5
    assert sign(low) != sign(high)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if sign(middle) == sign(low) else (low, middle)
    return low


BOUNDARIES = [
    ("eq1", "rmsprop", 20, 0.9), ("eq1", "adam", 11, 0.3), ("eq1", "adam", 20, 0.9), ("eq1", "adabelief", 20, 0.3),
    ("eq1", "adabelief", 11, 0.9), ("eq1", "adashift_10", 10, 0.9),
    ("eq2", "acprop", 20, 0.3), ("eq2", "acprop_paper", 35, 0.5), ("eq2", "adashift_1", 35, 0.9),
    ("eq2", "adashift_3", 21, 0.5), ("eq2", "adopt_unclipped", 20, 0.9),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "name", "P", "b1"), BOUNDARIES)
def test_long_runs_go_the_way_that_the_boundary_says(problem, name, P, b1):
    """0.02 to either side of the boundary on the map's axis, x from the middle: 20,000 steps under lr / sqrt(t), after
    enough for the moments to settle. (RMSProp on Eq.2 is left to the test above: its drift is so weak that for longer
    than this the falling lr, smaller at the gradient -1 than at the P/2 before it, outweighs it.)"""
    task = PERIODIC[problem]
    b2 = 1 - 10.0 ** -(root(name, problem, P, b1) + np.array([-0.02, 0.02]))
    leads_to_optimum = drift(name, task.gradient, P, b1, b2) > 0
    assert leads_to_optimum.tolist() == [False, True]
    rule, middle = start(name, b1, b2), (task.low + task.high) / 2
    x, settled = np.full(2, middle), 2000 // P * P
    for t in range(1, settled + 20_000 // P * P + 1):
        step = rule.send(task.gradient(t, P) + 0 * b2)
        if t > settled:
            x = np.clip(x - 1e-3 / np.sqrt(t) * step, task.low, task.high)
    assert (x < middle).tolist() == leads_to_optimum.tolist()


def test_adashift_shifted_by_a_period_is_synchronous():
    """Its boundary at P = n; every other P of the map converges."""
    b2 = 1 - 10.0 ** -np.linspace(0.1, 2.5, 25)
    gradient = PERIODIC["eq1"].gradient
    assert (drift("adashift_10", gradient, 10, 0.9, b2) < 0).any()
    assert all((drift("adashift_10", gradient, P, 0.9, b2) > 0).all() for P in range(3, 34, 2))
