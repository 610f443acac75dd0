"""The problems: two periodic ones on an interval, Rosenbrock's valley, three stochastic non-convex ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = Any

# -- periodic, one-dimensional, linear: the gradient does not depend on x -------------------------------------------


class Periodic(NamedTuple):
    """f_t(x) = gradient(t, P) * x on [low, high], with t from 1; over a period the gradients sum to a positive
    number, so `low` is the optimum of the sum."""

    gradient: Callable[[Array, Array], Array]
    low: float
    high: float

    @property
    def optimum(self) -> float:
        return self.low


def eq1(t: Array, P: Array) -> Array:
    """P if t mod P = 1, else -1."""
    return np.where(t % P == 1, P, -1.0)


def eq2(t: Array, P: Array) -> Array:
    """P/2 if t mod P = 1, -1 if t mod P = P - 2, else 0."""
    return np.where(t % P == 1, P / 2, np.where(t % P == P - 2, -1.0, 0.0))


PERIODIC = {"eq1": Periodic(eq1, -1.0, 1.0), "eq2": Periodic(eq2, 0.0, 1.0)}

# -- Rosenbrock -----------------------------------------------------------------------------------------------------


def rosenbrock(x: Array, y: Array) -> Array:
    """(1 - x)^2 + 100 (y - x^2)^2, minimum 0 at (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def rosenbrock_gradient(point: Array) -> Array:
    """(..., 2) -> (..., 2)."""
    x, y = point[..., 0], point[..., 1]
    return np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], -1)


# -- stochastic, non-convex: smooth, bounded below, bounded gradient, bounded noise ---------------------------------


class Stochastic(NamedTuple):
    """value: (..., dimension) -> (...), gradient: (..., dimension) -> (..., dimension), both exact. The optimizer sees
    the gradient plus noise, uniform on [-sigma sqrt 3, sigma sqrt 3] in each coordinate: unbiased, of standard
    deviation `sigma`."""

    value: Callable[[Array], Array]
    gradient: Callable[[Array], Array]
    start: np.ndarray
    sigma: float


def _sigmoid_loss() -> Stochastic:
    """mean_i sigmoid(-y_i <a_i, x>): a smoothed count of mistakes, 100 points, 10 features, a tenth of the labels
    flipped."""
    random = np.random.default_rng(0)
    a = random.normal(size=(100, 10))
    y = np.sign(a @ random.normal(size=10)) * np.where(random.random(100) < 0.1, -1, 1)
    z = a * y[:, None]

    def value(x: Array) -> Array:
        return (1 - np.tanh(x @ z.T / 2)).mean(-1) / 2

    def gradient(x: Array) -> Array:
        p = (1 - np.tanh(x @ z.T / 2)) / 2
        return -(p * (1 - p)) @ z / len(z)

    return Stochastic(value, gradient, np.full(10, -0.5), sigma=0.1)


def _robust_regression() -> Stochastic:
    """mean_i r_i^2 / (1 + r_i^2), r = a x - b (Geman-McClure): 100 points, 10 features, a fifth of them outliers."""
    random = np.random.default_rng(1)
    a = random.normal(size=(100, 10)) / np.sqrt(10)
    b = a @ random.normal(size=10) + np.where(random.random(100) < 0.2, 10 * random.normal(size=100), 0.0)

    def value(x: Array) -> Array:
        r = x @ a.T - b
        return (r * r / (1 + r * r)).mean(-1)

    def gradient(x: Array) -> Array:
        r = x @ a.T - b
        return (2 * r / (1 + r * r) ** 2) @ a / len(a)

    return Stochastic(value, gradient, np.full(10, -1.0), sigma=0.1)


def _ripples() -> Stochastic:
    """sum_i sqrt(1 + x_i^2) + cos(4 x_i) / 2: a bowl of slope 1 with local minima all over it, 10 coordinates."""

    def value(x: Array) -> Array:
        return (np.sqrt(1 + x * x) + np.cos(4 * x) / 2).sum(-1)

    def gradient(x: Array) -> Array:
        return x / np.sqrt(1 + x * x) - 2 * np.sin(4 * x)

    return Stochastic(value, gradient, np.linspace(2.0, 5.0, 10), sigma=1.0)


STOCHASTIC: dict[str, Callable[[], Stochastic]] = {
    "sigmoid_loss": _sigmoid_loss,
    "robust_regression": _robust_regression,
    "ripples": _ripples,
}
