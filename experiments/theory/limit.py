"""Where x goes as T -> infinity, solved and not simulated.

On the periodic problems gradients do not depend on x, so the moments forget their start and run into a periodic orbit,
a geometric sum over one period. As lr / sqrt(t) -> 0 while its sum diverges, x follows the sum of the steps over that
period: x -> low where it is positive, x -> high where it is negative. Projection changes nothing: it acts at the ends
only. Bias corrections and ADOPT's clip (t-1)^(1/4) are gone in the limit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = Any


class Axes(NamedTuple):
    """An optimizer on the axes of the paper's Table 1.

    numerator: "gradient"; "mean", its moving average; or a number n, the mean of the last n weighted by b1^i.
    centred: whether the second moment is taken around the mean.
    delay: age of the youngest gradient in the denominator; 0 is synchronous.
    denominator: (second moment, b2) -> what the numerator is divided by.
    old_mean: around yesterday's mean instead of today's. b1: in place of the one given.
    """

    numerator: str | int
    centred: bool
    delay: int
    denominator: Callable[[Array, Array], Array]
    old_mean: bool = False
    b1: float | None = None


def _eps_outside(eps: float) -> Callable[[Array, Array], Array]:
    return lambda v, b2: np.sqrt(v) + eps


def _eps_in_state(s: Array, b2: Array, eps: float = 1e-8) -> Array:
    # eps enters the state at every step, so the state settles eps / (1 - b2) higher
    return np.sqrt(s + eps / (1 - b2)) + eps


AXES = {
    "rmsprop": Axes("gradient", False, 0, _eps_outside(1e-8)),
    "adam": Axes("mean", False, 0, _eps_outside(1e-8)),
    "adabelief": Axes("mean", True, 0, _eps_in_state),
    "acprop": Axes("gradient", True, 1, _eps_in_state),
    "acprop_paper": Axes("gradient", True, 1, lambda s, b2: np.sqrt(s + 1e-8)),
    "adashift_1": Axes(1, False, 1, _eps_outside(1e-10)),
    "adashift_3": Axes(3, False, 3, _eps_outside(1e-10)),
    "adashift_10": Axes(10, False, 10, _eps_outside(1e-10)),
    # the mean of normalised gradients has their sum over a period
    "adopt": Axes("gradient", False, 1, lambda v, b2: np.maximum(np.sqrt(v), 1e-6)),
    # one coordinate: its rate divided by its own norm is 1
    "avagrad": Axes("mean", False, 1, lambda v, b2: np.ones_like(v)),
}
AXES |= {  # recurrences.MUTANTS
    "sgd": Axes("gradient", False, 0, lambda v, b2: np.ones_like(v)),
    "mutant_momentum": AXES["acprop"]._replace(numerator="mean"),
    "mutant_synchronous": AXES["acprop"]._replace(delay=0),
    "mutant_uncentred": AXES["acprop"]._replace(centred=False),
    "mutant_residual": AXES["acprop"]._replace(old_mean=True),
    "mutant_eps_outside": AXES["acprop"]._replace(denominator=_eps_outside(1e-8)),
    "mutant_beta1": AXES["acprop"]._replace(b1=0.5),
}
AXES |= {"acprop_skip": AXES["acprop"], "adopt_unclipped": AXES["adopt"]}  # they differ in the first steps alone


def orbit(z: Array, decay: Array) -> Array:
    """The periodic solution of y_j = decay * y_{j-1} + (1 - decay) * z_j.

    Args:
        z: (..., P), one period of the input.
        decay: (..., 1) or a number.
    """
    period = z.shape[-1]
    geometric = decay ** np.arange(period) * (1 - decay) / (1 - decay**period)  # weight of the input k steps back
    past = (np.arange(period)[:, None] - np.arange(period)) % period  # [j, k]: index of the input k steps before j
    return (z[..., past] * geometric[..., None, :]).sum(-1)


def drift(name: str, gradient: Callable[[Array, Array], Array], P: int, b1: float, b2: Array) -> Array:
    """Sum of the steps over one period of the orbit, relative to the sum of their sizes: in [-1, 1], positive where
    x moves to its optimum. (k,) for b2 of shape (k,)."""
    axes, b2 = AXES[name], np.asarray(b2)[:, None]
    b1 = b1 if axes.b1 is None else axes.b1
    g = gradient(np.arange(P), P)
    m = orbit(g, b1)
    around = (np.roll(m, 1) if axes.old_mean else m) if axes.centred else 0.0
    second = orbit((g - around) ** 2, b2)
    denominator = np.roll(axes.denominator(second, b2), axes.delay, -1)
    if isinstance(axes.numerator, int):
        weights = b1 ** np.arange(axes.numerator)
        numerator = sum(w * np.roll(g, i) for i, w in enumerate(weights / weights.sum()))
    else:
        numerator = g if axes.numerator == "gradient" else m
    steps = numerator / denominator
    return steps.sum(-1) / np.abs(steps).sum(-1)
