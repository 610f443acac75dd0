"""What docs/optimizers.md says of raw first steps and dormant coordinates, on the first thousand steps."""

import pytest

from acprop import ACProp
from scripts import remedies

STEPS = 1000


def test_a_dormant_coordinate_is_thrown_far_unless_clipped():
    far, when, _ = remedies.rosenbrock(lambda p, lr: ACProp(p, lr=lr, eps=1e-16), STEPS)
    assert when == 3
    assert far > 9e4
    near, _, _ = remedies.rosenbrock(lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0), STEPS)
    assert near == pytest.approx(1.0)
    default, _, _ = remedies.rosenbrock(lambda p, lr: ACProp(p, lr=lr), STEPS)
    assert 10 < default < 20


def test_the_raw_first_step_can_be_skipped():
    huge, when, _ = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, variant="paper"), STEPS)
    assert (huge, when) == (pytest.approx(1e4), 1)
    _, when, _ = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, variant="paper", skip_first_step=True), STEPS)
    assert when > 1


def test_one_hot():
    far, _, _ = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, eps=1e-16), STEPS)
    clipped, _, loss = remedies.one_hot(lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0), STEPS)
    assert far > 1e5
    assert clipped == pytest.approx(1.0)
    assert loss < 0.5


@pytest.mark.parametrize("problem", [remedies.lora, remedies.blocks])
def test_matrices_that_begin_as_zeros(problem):
    """Adam trains at this lr; so does ACProp with clip_update, and without it weights are thrown far."""
    for name in ("Adam, eps 1e-8", "ACProp, eps 1e-8, clip_update=1"):
        far, _, error = problem(remedies.METHODS[name], 200)
        assert far < 10, name
        assert error < 0.1, name
    far, when, _ = problem(remedies.METHODS["ACProp, eps 1e-8"], 20)
    assert not far < 20  # NaN too
    assert when > 1
