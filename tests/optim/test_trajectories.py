"""ACProp against float64 values that the authors' published class produced (results/paper/, `note` says how)."""

import pytest
import torch

from acprop import ACProp
from experiments.theory.authors import arguments, trajectories
from tests.optim.cases import PATHS

CASES = trajectories()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_acprop_repeats_the_authors_steps(case, path):
    x = torch.tensor([case["x0"]], dtype=torch.float64, requires_grad=True)
    optimizer = ACProp([x], **arguments(case["kwargs"]), **PATHS[path])
    for grad, expected in zip(case["grads"], case["x"], strict=True):
        x.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        assert x.item() == pytest.approx(expected, rel=1e-12)


# (x_{t-1} - x_t) / lr for g = 1, 0.5, -0.5; docs/optimizers.md shows them
EXAMPLES = {
    "script": ({"eps": 1e-8}, [1, 0.555552, -0.729605]),
    "paper": ({"eps": 1e-8}, [10000, 17.568, -16.319]),
    "momentum": ({"eps": 1e-8}, [1, 0.818708, 0.409225]),
    "rectified": ({"eps": 1e-16}, [1, 0.736842, 0.280443]),
}


@pytest.mark.parametrize("variant", EXAMPLES)
def test_three_steps_of_each_variant(variant):
    options, expected = EXAMPLES[variant]
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = ACProp([x], lr=1.0, variant=variant, **options)
    for grad, move in zip((1.0, 0.5, -0.5), expected, strict=True):
        before = x.item()
        x.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        assert before - x.item() == pytest.approx(move, rel=5e-5)


def test_optax_differs_by_its_residual():
    """optax 0.2.8 takes g_t - m_{t-1} where the authors take g_t - m_t = beta1 (g_t - m_{t-1}): where eps is negligible
    its steps are beta1 times the authors' from t = 2 on."""
    contrib = pytest.importorskip("optax.contrib")
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    beta1 = 0.8
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    ours = ACProp([x], lr=1.0, betas=(beta1, 0.999), eps=1e-16)
    theirs = contrib.acprop(1.0, b1=beta1, b2=0.999, eps=1e-16)
    y = jax.numpy.zeros(1)
    state = theirs.init(y)
    torch.manual_seed(0)
    for t in range(1, 40):
        grad = torch.randn(1, dtype=torch.float64)
        before = x.item()
        x.grad = grad
        ours.step()
        update, state = theirs.update(jax.numpy.asarray(grad.numpy()), state, y)
        assert float(update[0]) == pytest.approx((x.item() - before) * (beta1 if t > 1 else 1), rel=1e-6)
