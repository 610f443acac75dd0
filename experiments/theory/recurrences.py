"""Every optimizer of the maps as a recurrence on arrays: gradients in, steps out, x_t = x_{t-1} - lr * step.

A rule is a generator. Send it g_t, any shape that broadcasts with b1 and b2; it answers with the step, before the
learning rate. Each coordinate is an optimizer of its own, so a whole grid of hyper-parameters runs as one array.
tests/theory holds each rule to the optimizer class of the same name, step by step.

    rule = start("acprop", b1=0.9, b2=np.array([0.9, 0.99]))
    x = x - lr * rule.send(gradient(x))
"""

from collections.abc import Callable, Generator
from functools import partial
from itertools import count
from typing import Any

import numpy as np

Array = Any  # np.ndarray or a number that broadcasts with one
Rule = Generator[Array, Array, None]


def sgd(b1: Array, b2: Array) -> Rule:
    """torch.optim.SGD; takes b1 and b2 as every rule does and has no use for them."""
    step = None
    while True:
        g = yield step
        step = g


def rmsprop(b1: Array, b2: Array, eps: float = 1e-8) -> Rule:
    """torch.optim.RMSprop with alpha = b2: no bias correction."""
    v = step = 0.0
    while True:
        g = yield step
        # update the second moment
        v = b2 * v + (1 - b2) * g * g
        # step by the gradient over today's second moment
        step = g / (np.sqrt(v) + eps)


def adam(b1: Array, b2: Array, eps: float = 1e-8) -> Rule:
    """torch.optim.Adam."""
    m = v = step = 0.0
    for t in count(1):
        g = yield step
        # update the mean and the second moment
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        # step by the mean over today's second moment
        step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def adabelief(b1: Array, b2: Array, eps: float = 1e-8) -> Rule:
    """acprop.AdaBelief."""
    m = s = step = 0.0
    for t in count(1):
        g = yield step
        # update the mean, then the second moment around it
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        # step by the mean over today's deviation
        step = m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps)


def acprop(b1: Array, b2: Array, eps: float = 1e-8, variant: str = "script", skip_first_step: bool = False) -> Rule:
    """acprop.ACProp, as the authors' training script runs it or as the paper's Algorithm 2 writes it."""
    m = s = step = 0.0
    for t in count(1):
        g = yield step
        # step by the gradient over yesterday's deviation
        if t == 1 and skip_first_step:
            step = np.zeros_like(g)
        elif variant == "paper":
            step = g / np.sqrt(s + eps)
        elif t == 1:
            step = g
        else:
            s = s + eps
            step = g / (np.sqrt(s / (1 - b2 ** (t - 1))) + eps)
        # update the mean, then the second moment around it
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2


def adashift(b1: Array, b2: Array, eps: float = 1e-10, n: int = 1) -> Rule:
    """acprop.AdaShift with keep_num = n and reduce=None: one second moment a coordinate."""
    weights = [b1**i / sum(b1**j for j in range(n)) for i in range(n)]
    v = step = 0.0
    kept: list[Array] = []  # the last n gradients, the youngest first
    for t in count(1):
        g = yield step
        step = np.zeros_like(g)
        kept.insert(0, g)
        if t > n:
            # update the second moment with the gradient n steps old
            v = b2 * v + (1 - b2) * kept.pop() ** 2
            # step by the mean of the last n over the shifted second moment
            mean = sum(weight * old for weight, old in zip(weights, kept, strict=True))
            step = mean / (np.sqrt(v / (1 - b2 ** (t - n))) + eps)


def adopt(b1: Array, b2: Array, eps: float = 1e-6, clip: bool = True) -> Rule:
    """acprop.ADOPT: clipped to +-(t-1)^(1/4) as released; the first gradient only fills the second moment."""
    m = step = 0.0
    v: Array = None
    for t in count(1):
        g = yield step
        if v is None:
            v = g * g
            step = np.zeros_like(g)
            continue
        # step by the mean of gradients over yesterday's second moment
        normed = g / np.maximum(np.sqrt(v), eps)
        if clip:
            bound = (t - 1) ** 0.25
            normed = np.clip(normed, -bound, bound)
        m = b1 * m + (1 - b1) * normed
        step = m
        # update the second moment
        v = b2 * v + (1 - b2) * g * g


def avagrad(b1: Array, b2: Array, eps: float = 0.1) -> Rule:
    """acprop.AvaGrad on a problem of one coordinate, whose rate is its own norm; the first gradient only fills the
    moments."""
    m = v = step = 0.0
    for t in count(1):
        g = yield step
        # update the mean
        m = b1 * m + (1 - b1) * g
        # step by the mean times yesterday's rate, relative to the norm of the rates
        if t == 1:
            step = np.zeros_like(g)
        else:
            rate = 1 / (np.sqrt(v / (1 - b2 ** (t - 1))) + eps)
            step = m / (1 - b1**t) * rate / np.abs(rate)
        # update the second moment
        v = b2 * v + (1 - b2) * g * g


def mutant(
    b1: Array, b2: Array, eps: float = 1e-8, momentum: bool = False, synchronous: bool = False, centred: bool = True,
    old_residual: bool = False, eps_in_state: bool = True, beta1: float | None = None,
) -> Rule:  # fmt: skip
    """ACProp as the script runs it, with one thing wrong: the numerator is the mean; the denominator knows today's
    gradient; is taken around zero; or around yesterday's mean; eps is added outside alone; beta1 is another. With
    nothing wrong it is `acprop`."""
    b1 = b1 if beta1 is None else beta1
    kept = eps if eps_in_state else 0.0
    m = s = step = 0.0
    for t in count(1):
        g = yield step
        before, m = m, b1 * m + (1 - b1) * g
        around = before if old_residual else m if centred else 0.0
        change, numerator = (1 - b2) * (g - around) ** 2, m / (1 - b1**t) if momentum else g
        if synchronous:
            s = b2 * s + change + kept
            step = numerator / (np.sqrt(s / (1 - b2**t)) + eps)
        elif t == 1:
            step, s = numerator, change
        else:
            s = s + kept
            step = numerator / (np.sqrt(s / (1 - b2 ** (t - 1))) + eps)
            s = b2 * s + change


RULES: dict[str, Callable[..., Rule]] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adam": adam,
    "adabelief": adabelief,
    "acprop": acprop,
    "acprop_skip": partial(acprop, skip_first_step=True),
    "acprop_paper": partial(acprop, variant="paper"),
    "adashift_1": partial(adashift, n=1),
    "adashift_3": partial(adashift, n=3),
    "adashift_10": partial(adashift, n=10),
    "adopt": adopt,
    "adopt_unclipped": partial(adopt, clip=False),
    "avagrad": avagrad,
}

# ACProp with one thing wrong each: a test of ACProp that one of them passes tells less than it seems to.
MUTANTS: dict[str, Callable[..., Rule]] = {
    "sgd": sgd,
    "mutant_momentum": partial(mutant, momentum=True),
    "mutant_synchronous": partial(mutant, synchronous=True),
    "mutant_uncentred": partial(mutant, centred=False),
    "mutant_residual": partial(mutant, old_residual=True),
    "mutant_eps_outside": partial(mutant, eps_in_state=False),
    "mutant_beta1": partial(mutant, beta1=0.5),
}


def start(name: str, b1: Array, b2: Array, **options: Any) -> Rule:
    """The rule called `name`, ready for its first gradient."""
    rule = (RULES | MUTANTS)[name](b1, b2, **options)
    next(rule)
    return rule
