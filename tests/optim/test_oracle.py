"""Every optimizer and path against the NumPy transcriptions, over shapes, options and zero and huge gradients."""

import copy
import io

import numpy as np
import pytest
import torch

from acprop import ACProp, AdaBelief, AdaShift
from tests.reference import oracle

STEPS = 200
SHAPES = [(), (1,), (3, 4), (2, 3, 1, 5)]
CASES = [
    pytest.param(ACProp, oracle.acprop, {}, id="acprop"),
    pytest.param(ACProp, oracle.acprop, {"weight_decay": 0.1, "eps": 1e-4, "betas": (0.5, 0.9)}, id="acprop-decay"),
    pytest.param(AdaBelief, oracle.adabelief, {}, id="adabelief"),
    pytest.param(AdaBelief, oracle.adabelief, {"weight_decay": 0.1}, id="adabelief-decay"),
    pytest.param(AdaShift, oracle.adashift, {"keep_num": 10, "reduce": "max"}, id="adashift"),
    pytest.param(AdaShift, oracle.adashift, {"keep_num": 1, "reduce": None}, id="adashift-1"),
    pytest.param(AdaShift, oracle.adashift, {"keep_num": 3, "reduce": "max", "weight_decay": 0.1}, id="adashift-3"),
]


def problem(shape):
    random = np.random.default_rng(len(shape))
    grads = [random.normal(size=shape) * 10.0 ** random.integers(-3, 2) for _ in range(STEPS)]
    grads[20:25] = [np.zeros(shape)] * 5
    grads[50] = np.full(shape, 1e8)
    return random.normal(size=shape), grads


def follow(optimizer, x, grads):
    path = []
    for grad in grads:
        x.grad = torch.from_numpy(np.asarray(grad)).clone()
        optimizer.step()
        assert torch.equal(x.grad, torch.from_numpy(np.asarray(grad))), "the gradient was modified"
        path.append(x.detach().clone().numpy())
    return path


def options(case):
    return {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8, **case}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("cls", "transcription", "case"), CASES)
def test_follows_the_transcription(cls, transcription, case, foreach, shape):
    start, grads = problem(shape)
    x = torch.from_numpy(np.asarray(start)).clone().requires_grad_()
    path = follow(cls([x], **options(case), foreach=foreach), x, grads)
    for measured, expected in zip(path, transcription(start, grads, **options(case)), strict=True):
        np.testing.assert_allclose(measured, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("cls", "transcription", "case"), CASES)
def test_goes_on_from_a_state_dict_read_with_weights_only(cls, transcription, case):
    start, grads = problem((3, 4))
    x = torch.from_numpy(start).clone().requires_grad_()
    optimizer = cls([x], **options(case))
    follow(optimizer, x, grads[:60])
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    y = x.detach().clone().requires_grad_()
    resumed = cls([y], lr=77.0)  # every hyper-parameter comes back with the state
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(follow(optimizer, x, grads[60:]), follow(resumed, y, grads[60:]), strict=True)
    )


@pytest.mark.parametrize("cls", [ACProp, AdaBelief, AdaShift])
def test_several_groups_and_missing_gradients(cls):
    torch.manual_seed(1)
    params = [torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    twins = copy.deepcopy(params)
    groups = [{"params": params[:2], "lr": 1e-2}, {"params": params[2:], "weight_decay": 0.1}]
    many = cls(groups, foreach=True)
    ones = [
        cls([twin], **({"lr": 1e-2} if i < 2 else {"weight_decay": 0.1}), foreach=False) for i, twin in enumerate(twins)
    ]
    for step in range(30):
        for index, (p, twin) in enumerate(zip(params, twins, strict=True)):
            p.grad = None if (step + index) % 3 == 0 else torch.randn(3, dtype=torch.float64)
            twin.grad = None if p.grad is None else p.grad.clone()
        many.step()
        for one in ones:
            one.step()
    for p, twin in zip(params, twins, strict=True):
        torch.testing.assert_close(p, twin, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1.0}, "lr=-1.0"),
        ({"betas": (0.9, 1.0)}, "betas="),
        ({"eps": -1e-8}, "eps="),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"betas": (0.0, 0.999)}, "beta1 = 0"),
    ],
)
def test_refuses_what_cannot_work(arguments, message):
    with pytest.raises(ValueError, match=message):
        ACProp([torch.zeros(1, requires_grad=True)], **arguments)


def test_refuses_sparse_gradients():
    x = torch.zeros(3, requires_grad=True)
    x.grad = torch.sparse_coo_tensor([[0]], [1.0], (3,))
    with pytest.raises(RuntimeError, match="sparse"):
        ACProp([x]).step()
