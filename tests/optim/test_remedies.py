"""What docs/optimizers.md says of raw first steps and dormant coordinates, on the first thousand steps."""

import pytest

from acprop import ACProp
from scripts import remedies


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(remedies, "STEPS", 1000)


def test_a_dormant_coordinate_is_thrown_far_unless_clipped():
    far, when, _ = remedies.rosenbrock(lambda p, lr: ACProp(p, lr=lr, eps=1e-16))
    assert when == 3
    assert far > 9e4
    near, _, _ = remedies.rosenbrock(lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0))
    assert near == pytest.approx(1.0)
    default, _, _ = remedies.rosenbrock(lambda p, lr: ACProp(p, lr=lr))
    assert 10 < default < 20


def test_the_raw_first_step_can_be_skipped():
    huge, when, _ = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, variant="paper"))
    assert (huge, when) == (pytest.approx(1e4), 1)
    _, when, _ = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, variant="paper", skip_first_step=True))
    assert when > 1


def test_one_hot():
    far, _, _ = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, eps=1e-16))
    clipped, _, loss = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0))
    assert far > 1e5
    assert clipped == pytest.approx(1.0)
    assert loss < 0.5
