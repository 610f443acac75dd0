"""Each recurrence against the optimizer class that users import, step by step, on sampled cells of both maps."""

import numpy as np
import pytest
import torch

from acprop import ADOPT, ACProp, AdaBelief, AdaShift, AvaGrad
from experiments.theory.problems import PERIODIC
from experiments.theory.recurrences import MUTANTS, RULES, start

STEPS = 150
# (P, beta1, beta2): the corners of the maps and cells within
CELLS = [(3, 0.9, 1 - 10**-0.1), (7, 0.3, 0.8), (11, 0.5, 0.99), (33, 0.9, 1 - 10**-2.5), (43, 0.9, 1 - 10**-0.1)]


def betas(cls, **options):
    return lambda params, b1, b2: cls(params, betas=(b1, b2), **options)


CLASSES = {
    "sgd": lambda params, b1, b2: torch.optim.SGD(params),
    "rmsprop": lambda params, b1, b2: torch.optim.RMSprop(params, alpha=b2),
    "adam": betas(torch.optim.Adam),
    "adabelief": betas(AdaBelief),
    "acprop": betas(ACProp),
    "acprop_skip": betas(ACProp, skip_first_step=True),
    "acprop_paper": betas(ACProp, variant="paper"),
    "adashift_1": betas(AdaShift, keep_num=1, reduce=None),
    "adashift_3": betas(AdaShift, keep_num=3, reduce=None),
    "adashift_10": betas(AdaShift, keep_num=10, reduce=None),
    "adopt": betas(ADOPT),
    "adopt_unclipped": betas(ADOPT, clip_power=None),
    "avagrad": betas(AvaGrad, variant="paper"),
}


def test_every_rule_has_a_class():
    assert CLASSES.keys() == RULES.keys()


@pytest.mark.parametrize("problem", PERIODIC)
@pytest.mark.parametrize("name", CLASSES)
def test_is_what_the_class_does(name, problem):
    """One array of cells, as the maps compute it, against a parameter and an optimizer for each cell."""
    P, b1, b2 = (np.array(column) for column in zip(*CELLS, strict=True))
    gradient = PERIODIC[problem].gradient
    params = [torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in CELLS]
    optimizers = [CLASSES[name]([p], float(c[1]), float(c[2])) for p, c in zip(params, CELLS, strict=True)]
    rule, x = start(name, b1, b2), np.zeros(len(CELLS))
    for t in range(1, STEPS + 1):
        g, lr = gradient(t, P), 0.01 / np.sqrt(t)
        step = rule.send(g)
        for i, (p, optimizer) in enumerate(zip(params, optimizers, strict=True)):
            p.grad = torch.tensor([g[i]], dtype=torch.float64)
            optimizer.param_groups[0]["lr"] = lr
            before = p.item()
            optimizer.step()
            # absolute: where gradients are zero, AdaShift's running mean is zero up to rounding over a tiny denominator
            assert before - p.item() == pytest.approx(lr * step[i], rel=1e-8, abs=1e-9), t
        # both go on from the same point in the interval, so that each step is compared and not their sum
        x = np.clip(x - lr * step, PERIODIC[problem].low, PERIODIC[problem].high)
        with torch.no_grad():
            for p, value in zip(params, x, strict=True):
                p.fill_(value)


@pytest.mark.parametrize("name", RULES)
def test_coordinates_are_independent(name):
    """A cell's steps do not depend on the grid around it."""
    random = np.random.default_rng(0)
    b1, b2 = random.uniform(0.1, 0.9, (2, 3)), random.uniform(0.2, 0.99, (2, 3))
    grads = random.normal(size=(40, 2, 3))
    whole, alone = start(name, b1, b2), start(name, b1[1, 2], b2[1, 2])
    for g in grads:
        assert whole.send(g)[1, 2] == pytest.approx(alone.send(g[1, 2]), rel=1e-12)


@pytest.mark.parametrize("problem", PERIODIC)
def test_a_mutant_is_acprop_but_for_one_thing(problem):
    """With nothing wrong it is ACProp to the bit, with two wrongs it is AdaBelief, and each wrong shows."""

    def steps(name, **options):
        rule, P = start(name, 0.9, 0.8, **options), 9
        return np.array([rule.send(PERIODIC[problem].gradient(t, P)) for t in range(1, 60)])

    right = steps("acprop")
    assert (steps("mutant_eps_outside", eps_in_state=True) == right).all()
    np.testing.assert_allclose(steps("mutant_momentum", synchronous=True), steps("adabelief"), rtol=1e-12)
    for name in MUTANTS:
        assert np.abs(steps(name) - right).max() > 1e-9, name
