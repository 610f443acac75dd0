"""Which way a tensor goes: together or alone, whole or in pieces, and what subclasses and fake tensors need."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from acprop import ACProp, AdaShift, LaProp
from acprop.optim import tensors
from tests.optim.cases import OPTIMIZERS
from tests.reference import oracle


class Wrapped(torch.Tensor):
    """A user's tensor that computes as any other and goes through its own dispatch."""


def steps(optimizer, params, count=13):
    torch.manual_seed(0)
    for _ in range(count):
        for p in params:
            p.grad = torch.randn(p.shape, dtype=p.dtype).as_subclass(type(p) if type(p) is Wrapped else torch.Tensor)
        optimizer.step()


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_subclasses_step_beside_plain_tensors(cls):
    start = [torch.randn(3, 2), torch.randn(4), torch.randn(2, 2)]
    plain = [x.clone().requires_grad_() for x in start]
    mixed = [x.clone() for x in start]
    mixed[1] = mixed[1].as_subclass(Wrapped)
    mixed = [x.requires_grad_() for x in mixed]
    seen = []
    ours = cls(mixed, weight_decay=0.1)
    update = ours._update
    ours._update = lambda param, *rest, **more: (seen.append(type(param)), update(param, *rest, **more))
    steps(cls(plain, weight_decay=0.1), plain)
    steps(ours, mixed)
    assert set(seen) == {tensors.TensorList, Wrapped}
    for p, q in zip(plain, mixed, strict=True):
        torch.testing.assert_close(p.detach(), q.detach().as_subclass(torch.Tensor), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"foreach": False}, {"capturable": True}, {"kahan_sum": True}], ids=str)
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_fake_tensors(cls, options):
    with FakeTensorMode():
        params = [torch.zeros(3, 2, requires_grad=True), torch.zeros(4, dtype=torch.bfloat16, requires_grad=True)]
        optimizer = cls(params, **options)
        for _ in range(2):
            for p in params:
                p.grad = torch.zeros_like(p)
            optimizer.step()
    assert optimizer.state[params[0]]["exp_avg"].shape == (3, 2)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_temporaries_of_a_call_are_bounded_on_every_device(device, monkeypatch):
    """Small tensors go together up to the bound, large ones in pieces of it, whatever their order in memory."""
    monkeypatch.setitem(tensors.ELEMENTS_A_CALL, "cpu", 100)
    monkeypatch.setattr(tensors, "ELEMENTS_A_CALL_ELSEWHERE", 100)
    shapes = [(30,), (60,), (20,), (5, 5, 3, 3), (250,), (1,)]
    rows = []
    for shape in shapes:
        p = torch.zeros(shape, device=device)
        rows.append((p.contiguous(memory_format=torch.channels_last) if p.dim() == 4 else p, torch.zeros_like(p)))
    rows[3] = (rows[3][0], torch.zeros_like(rows[3][0]))
    found = [[row[0].numel() for row in chunk] for chunk in tensors.chunks(rows)]
    assert sum(map(sum, found)) == sum(torch.Size(shape).numel() for shape in shapes)
    assert all(sum(chunk) <= 100 for chunk in found)
    assert found[0] == [30, 60]


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_pieces_step_as_the_whole(cls, monkeypatch):
    start = [torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last), torch.randn(700), torch.randn(9, 9).t()]
    results = []
    for size in (64, 2**19):
        monkeypatch.setitem(tensors.ELEMENTS_A_CALL, "cpu", size)
        params = [x.clone(memory_format=torch.preserve_format).requires_grad_() for x in start]
        steps(cls(params), params)
        results.append(params)
    for p, q in zip(*results, strict=True):
        assert torch.equal(p, q)
        assert p.stride() == q.stride()


def test_laprop_after_a_drop_of_lr():
    """The authors' code: gradients weigh as the lr of their step. The paper: all alike."""
    torch.manual_seed(0)
    grads = [torch.randn(3, dtype=torch.float64) for _ in range(60)]
    rates = [0.1] * 30 + [0.001] * 30
    ends = {}
    for variant in ("script", "paper"):
        x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = LaProp([x], variant=variant)
        for grad, rate in zip(grads, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            x.grad = grad
            optimizer.step()
        arrays = [grad.numpy() for grad in grads]
        path = oracle.laprop(np.zeros(3), arrays, rates, (0.9, 0.999), 1e-15, variant)
        torch.testing.assert_close(x.detach(), torch.from_numpy(path[-1]), rtol=1e-10, atol=1e-13)
        ends[variant] = x.detach()
    assert (ends["script"] - ends["paper"]).abs().max() > 1e-3


def test_laprop_at_lr_0_stays_where_it_is():
    x = torch.zeros(3, requires_grad=True)
    optimizer = LaProp([x], lr=0.0)
    for _ in range(2):
        x.grad = torch.ones(3)
        optimizer.step()
    assert torch.equal(x.detach(), torch.zeros(3))
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    torch.testing.assert_close(x.detach(), torch.full((3,), -0.1))


@pytest.mark.parametrize("reduce", ["max", None])
def test_adashift_waits_for_a_second_moment(reduce):
    """A tensor, or a coordinate, whose old gradients are all zero has no denominator: eps alone would throw it far."""
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = AdaShift([x], lr=0.1, keep_num=2, reduce=reduce)
    grads = [torch.zeros(3, dtype=torch.float64)] * 5 + [torch.ones(3, dtype=torch.float64)] * 6
    for t, grad in enumerate(grads, 1):
        x.grad = grad
        optimizer.step()
        assert (x != 0).any().item() is (t >= 8)
    path = oracle.adashift(np.zeros(3), [grad.numpy() for grad in grads], 0.1, (0.9, 0.999), 1e-10, 2, reduce)
    torch.testing.assert_close(x.detach(), torch.from_numpy(path[-1]), rtol=1e-12, atol=0)
    assert x.abs().max() < 0.41


def test_a_negative_and_a_conjugate_gradient_count_as_what_they_are():
    z = torch.zeros(3, dtype=torch.complex64, requires_grad=True)
    z.grad = torch.full((3,), 1 + 2j).conj()
    x = torch.zeros(3, requires_grad=True)
    x.grad = torch.full((3,), 1 + 2j).conj().imag
    assert z.grad.is_conj()
    assert x.grad.is_neg()
    for p in (z, x):
        ACProp([p], lr=1.0).step()
    assert torch.equal(z.detach(), torch.full((3,), -1 + 2j))
    assert torch.equal(x.detach(), torch.full((3,), 2.0))
