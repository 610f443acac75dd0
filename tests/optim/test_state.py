"""State through torch's doors: load_state_dict with its hooks, distributed checkpoints, and steps that are none."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from acprop import ACProp
from tests.optim.cases import OPTIMIZERS

LOW = [torch.bfloat16, torch.float16]


def trained(cls, dtype, shapes=((3, 2), (4,)), steps=3, **options):
    params = [torch.linspace(-1, 1, torch.Size(s).numel()).reshape(s).to(dtype).requires_grad_() for s in shapes]
    optimizer = cls(params, **options)
    for t in range(steps):
        for p in params:
            p.grad = (torch.sin(torch.arange(p.numel()) + t).reshape(p.shape)).to(dtype)
        optimizer.step()
    return params, optimizer


def assert_state(state, expected):
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert state[name].dtype == value.dtype, name
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("options", [{}, {"kahan_sum": True}])
@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_pre_hook_decides_what_is_loaded(cls, dtype, options):
    """The saved parameters came in the other order; a hook turns them round, as torch's documentation proposes."""
    params, optimizer = trained(cls, dtype, **options)
    other = cls([p.detach().clone().requires_grad_() for p in reversed(params)], **options)

    def turn(_, given):
        state = {1 - key: entry for key, entry in given["state"].items()}
        return {**given, "state": state}

    other.register_load_state_dict_pre_hook(turn)
    other.load_state_dict(optimizer.state_dict())
    q, p = other.param_groups[0]["params"]
    assert_state(other.state[p], optimizer.state[params[0]])
    assert_state(other.state[q], optimizer.state[params[1]])


@pytest.mark.parametrize("dtype", LOW)
def test_a_post_hook_sees_float32_state(dtype):
    params, optimizer = trained(ACProp, dtype)
    other = ACProp([p.detach().clone().requires_grad_() for p in params])
    seen = []
    other.register_load_state_dict_post_hook(lambda o: seen.extend(e["exp_avg"].dtype for e in o.state.values()))
    other.load_state_dict(optimizer.state_dict())
    assert seen == [torch.float32] * 2


def test_a_shortened_dict_loads_what_it_has():
    params, optimizer = trained(ACProp, torch.bfloat16)
    other = ACProp([p.detach().clone().requires_grad_() for p in params])

    def shorten(_, given):
        group = {**given["param_groups"][0], "params": ["a", "b"]}
        return {"state": {"b": given["state"][1]}, "param_groups": [group]}

    other.register_load_state_dict_pre_hook(shorten)
    other.load_state_dict(optimizer.state_dict())
    q, p = other.param_groups[0]["params"]
    assert q not in other.state
    assert_state(other.state[p], optimizer.state[params[1]])


def test_a_load_that_fails_leaves_no_hook():
    _, optimizer = trained(ACProp, torch.bfloat16)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    assert not optimizer._optimizer_load_state_dict_pre_hooks
    assert not optimizer._optimizer_load_state_dict_post_hooks


OPTIONS = [
    {}, {"weight_decay": 0.1, "decoupled_weight_decay": "fixed"}, {"capturable": True}, {"lr": torch.tensor(0.01)},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_distributed_checkpoint_costs_no_step(cls, options):
    """`get_optimizer_state_dict` makes state by a step at lr 0 with zero gradients."""
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    two = copy.deepcopy(one)
    optimizers = [cls(net.parameters(), **{"lr": 0.01, **options}) for net in (one, two)]
    start = copy.deepcopy(two.state_dict())
    state = get_optimizer_state_dict(two, optimizers[1])
    for name, value in two.state_dict().items():
        assert torch.equal(value, start[name]), name
    set_optimizer_state_dict(two, optimizers[1], state)
    for x in torch.randn(14, 5, 3):
        for net, optimizer in zip((one, two), optimizers, strict=True):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_paper_run_that_skips_its_first_step_skips_it_after_a_checkpoint():
    p = torch.zeros(1, requires_grad=True)
    net = nn.ParameterList([p])
    optimizer = ACProp(net.parameters(), variant="paper", skip_first_step=True)
    get_optimizer_state_dict(net, optimizer)
    (q,) = net.parameters()
    q.grad = torch.ones(1)
    optimizer.step()
    assert q.item() == 0


def test_only_zero_gradients_of_new_parameters_at_lr_0_are_no_step():
    for lr, grad, steps in ((0.0, 1.0, 1), (0.1, 0.0, 1), (0.0, 0.0, 0)):
        p = torch.zeros(1, requires_grad=True)
        optimizer = ACProp([p], lr=lr)
        p.grad = torch.full((1,), grad)
        optimizer.step()
        assert optimizer.state[p]["step"].item() == steps
    p = torch.zeros(1, requires_grad=True)
    optimizer = ACProp([p])
    p.grad = torch.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    p.grad.zero_()
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 2
