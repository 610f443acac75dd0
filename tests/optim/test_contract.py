"""What else PyTorch users count on: AMP, torch.compile, meta-gradients."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import acprop
from acprop import ACProp
from tests.conftest import ROOT
from tests.optim.cases import OPTIMIZERS


@pytest.mark.parametrize("arguments", [{"betas": (0.0, 0.999)}, {"betas": (0.0, 0.9), "variant": "paper"}])
def test_beta1_of_zero_is_refused_with_the_reason(arguments):
    with pytest.raises(ValueError, match=r"beta1 > 0 .*steps explode"):
        ACProp([torch.zeros(1, requires_grad=True)], **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variant": "optax"}, "variant='optax' .* script, paper, momentum, rectified"),
        ({"clip_update": 0}, "clip_update=0"),
        ({"fused": True, "foreach": True}, "fused=True"),
    ],
)
def test_options_are_checked(arguments, words):
    with pytest.raises(ValueError, match=words):
        ACProp([torch.zeros(1, requires_grad=True)], **arguments)


@pytest.mark.parametrize("options", [{}, {"fused": True}])
def test_grad_scaler_skips_a_step_that_overflows(options):
    p = torch.ones(2, requires_grad=True)
    optimizer = ACProp([p], lr=0.1, **options)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale((p * torch.tensor([1.0, 2.0])).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    torch.testing.assert_close(p.detach(), torch.tensor([0.9, 0.8]))  # the raw first step, unscaled
    optimizer.zero_grad()
    scaler.scale((p * torch.inf).sum()).backward()
    scaler.step(optimizer)
    torch.testing.assert_close(p.detach(), torch.tensor([0.9, 0.8]))
    assert optimizer.state[p]["step"].item() == 1


def test_state_of_low_precision_parameters_stays_float32_when_loaded():
    p = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    optimizer = ACProp([p])
    p.grad = torch.full((3,), 0.1, dtype=torch.bfloat16)
    optimizer.step()
    q = p.detach().clone().requires_grad_()
    other = ACProp([q])
    other.load_state_dict(optimizer.state_dict())
    for name in ACProp.state_names:
        assert other.state[q][name].dtype == torch.float32
        assert torch.equal(other.state[q][name], optimizer.state[p][name])


def test_meta_gradient_through_several_steps():
    """d loss / d lr after three steps equals finite differences: the lr can be learnt."""

    def final(lr):
        p = torch.tensor([1.0, -2.0], dtype=torch.float64).requires_grad_()
        optimizer = ACProp([p.clone()], lr=lr, differentiable=True)
        (q,) = optimizer.param_groups[0]["params"]
        for _ in range(3):
            (q.grad,) = torch.autograd.grad((q.clone() ** 4).sum(), q, create_graph=True)
            optimizer.step()
        return (q**4).sum()

    assert torch.autograd.gradcheck(final, (torch.tensor(0.01, dtype=torch.float64, requires_grad=True),))


@pytest.mark.slow
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_compiled_step_is_one_graph_whatever_lr_and_step(cls):
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    torch.manual_seed(0)
    params = [torch.randn(3, 2, requires_grad=True), torch.randn(4, requires_grad=True)]
    twins = [p.detach().clone().requires_grad_() for p in params]
    compiled = cls(params, lr=torch.tensor(0.01), weight_decay=0.1)
    eager = cls(twins, lr=0.01, weight_decay=0.1)
    counter = CompileCounter()
    step = torch.compile(compiled.step, backend=counter)
    counts = []
    for t in range(14):
        for p, twin in zip(params, twins, strict=True):
            p.grad = torch.randn_like(p)
            twin.grad = p.grad.clone()
        for optimizer in (compiled, eager):
            rate = optimizer.param_groups[0]["lr"]
            new = 0.01 / (t + 1)
            rate.fill_(new) if isinstance(rate, torch.Tensor) else optimizer.param_groups[0].update(lr=new)
        step()
        eager.step()
        counts.append(counter.frame_count)
    assert counts[-1] == counts[1] <= 2, counts  # one graph that makes the state, one that goes on for ever
    for p, twin in zip(params, twins, strict=True):
        torch.testing.assert_close(p, twin)


@pytest.mark.slow
def test_inductor_computes_the_same():
    torch._dynamo.reset()
    torch.manual_seed(0)
    p = torch.randn(50, requires_grad=True)
    twin = p.detach().clone().requires_grad_()
    compiled, eager = ACProp([p]), ACProp([twin])
    step = torch.compile(compiled.step)
    for _ in range(5):
        p.grad = torch.randn(50)
        twin.grad = p.grad.clone()
        step()
        eager.step()
    torch.testing.assert_close(p, twin)


def test_import_needs_torch_alone():
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; sys.modules.update(dict.fromkeys(['hydra', 'omegaconf', 'wandb', 'scipy', 'yaml', 'numpy'])); "
            "import acprop; acprop.ACProp; print(sorted(m for m in sys.modules if m.startswith('acprop')))",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "acprop.runs" not in done.stdout
    assert acprop.__version__


def test_a_module_trains():
    torch.manual_seed(0)
    x = torch.randn(128, 2)
    for options in ({}, {"fused": True}, {"variant": "rectified", "eps": 1e-16, "decoupled_weight_decay": True}):
        model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        optimizer = ACProp(model.parameters(), lr=1e-2, **options)
        for _ in range(200):
            optimizer.zero_grad()
            loss = (model(x) - x.prod(1, keepdim=True)).square().mean()
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.2
