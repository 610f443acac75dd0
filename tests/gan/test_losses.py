"""Losses against NumPy transcriptions of their papers' formulas, in probabilities, not in logits."""

import numpy as np
import pytest
import torch

from experiments.gan.losses import LOSSES

REAL, FAKE = np.array([0.3, -1.2, 2.0]), np.array([-0.7, 0.4, 1.1])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def vanilla(c, f):
    return -np.mean(np.log(sigmoid(c))) - np.mean(np.log(1 - sigmoid(f))), -np.mean(np.log(sigmoid(f)))


def vanilla_studiogan(c, f):
    return -np.mean(np.log(sigmoid(c)) + np.log(sigmoid(1 - f))), -np.mean(np.log(sigmoid(f)))


def hinge(c, f):
    return np.mean(np.maximum(0, 1 - c)) + np.mean(np.maximum(0, 1 + f)), -np.mean(f)


def rsgan(c, f):
    return -np.mean(np.log(sigmoid(c - f))), -np.mean(np.log(sigmoid(f - c)))


def rasgan(c, f):
    real, fake = sigmoid(c - f.mean()), sigmoid(f - c.mean())  # "more realistic than the other kind on average"
    d = (-np.mean(np.log(real)) - np.mean(np.log(1 - fake))) / 2
    g = (-np.mean(np.log(fake)) - np.mean(np.log(1 - real))) / 2
    return d, g


EXPECTED = {f.__name__: f for f in (vanilla, vanilla_studiogan, hinge, rsgan, rasgan)}


@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_formula(name):
    real, fake = torch.from_numpy(REAL), torch.from_numpy(FAKE)
    loss = LOSSES[name]
    d, g = EXPECTED[name](REAL, FAKE)
    assert loss.discriminator(real, fake).item() == pytest.approx(d, rel=1e-12)
    assert loss.generator(real, fake).item() == pytest.approx(g, rel=1e-12)
    moved = loss.generator(real + 1, fake).item() != loss.generator(real, fake).item()
    assert moved == loss.relativistic, "who looks at real images says so"
    assert torch.isfinite(loss.discriminator(real * 1e4, fake * 1e4)), "far logits do not overflow"
