"""Every optimizer, option and path against the NumPy transcriptions, over shapes, with zero and huge gradients."""

import numpy as np
import pytest
import torch

from acprop import ACProp, AvaGrad
from tests.optim.cases import CASES_AND_PATHS, PATHS
from tests.reference import oracle

STEPS = 200
SHAPES = [(), (1,), (3, 4), (2, 3, 1, 5)]


def problem(shape, steps=STEPS):
    random = np.random.default_rng(len(shape))
    grads = [random.normal(size=shape) * 10.0 ** random.integers(-3, 2) for _ in range(steps)]
    grads[20:25] = [np.zeros(shape)] * 5
    grads[50] = np.full(shape, 1e8)
    return random.normal(size=shape), grads


def follow(optimizer, params, grads):
    """Steps with the given gradients (a list a step, one array a parameter); returns the points after each."""
    path = []
    for given in grads:
        for p, grad in zip(params, given, strict=True):
            p.grad = torch.from_numpy(np.asarray(grad)).to(p.dtype)
        before = [p.grad.clone() for p in params]
        optimizer.step()
        assert all(torch.equal(p.grad, b) for p, b in zip(params, before, strict=True)), "the gradient was modified"
        path.append([p.detach().clone().numpy() for p in params])
    return path


@pytest.mark.parametrize(("case", "path"), CASES_AND_PATHS)
def test_follows_the_transcription(case, path):
    problems = [problem(shape) for shape in SHAPES]
    params = [torch.from_numpy(np.asarray(start)).clone().requires_grad_() for start, _ in problems]
    groups = [{"params": [p]} for p in params] if case.cls is AvaGrad else params  # its norm is over the group
    grads = zip(*(grads for _, grads in problems), strict=True)
    measured = follow(case.cls(groups, **case.arguments(), **path), params, grads)
    for index, (start, grads) in enumerate(problems):
        for step, expected in enumerate(case.expected(start, grads)):
            np.testing.assert_allclose(measured[step][index], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("case", "path"), CASES_AND_PATHS)
def test_float32_is_float64_to_its_precision(case, path):
    start, grads = problem((3, 4), steps=60)
    grads[50] = grads[49]  # float32 does not hold what follows 1e8
    start, grads = start.astype(np.float32), [grad.astype(np.float32) for grad in grads]
    p = torch.from_numpy(start).clone().requires_grad_()
    measured = follow(case.cls([p], **case.arguments(), **path), [p], [[grad] for grad in grads])
    expected = case.expected(start.astype(np.float64), [grad.astype(np.float64) for grad in grads])
    largest = np.abs(np.diff(np.array([start, *expected]), axis=0)).max()
    np.testing.assert_allclose(measured[-1][0], expected[-1], rtol=1e-4, atol=1e-4 * max(1.0, largest))


@pytest.mark.parametrize("path", ["single", "foreach", "fused"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_parameters_keep_float32_state(dtype, path):
    shapes = [(7,), (3, 4)]
    params = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    twins = [p.detach().float().requires_grad_() for p in params]
    low, high = ACProp(params, lr=1e-2, **PATHS[path]), ACProp(twins, lr=1e-2)
    for _ in range(100):
        for p, twin in zip(params, twins, strict=True):
            p.grad = torch.randn(p.shape).to(dtype)
            twin.grad = p.grad.float()
            twin.data.copy_(p)  # the same point, so that one step differs by the rounding of the parameter alone
        low.step()
        high.step()
        for p, twin in zip(params, twins, strict=True):
            torch.testing.assert_close(p.detach(), twin.detach().to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-6)
    for p, twin in zip(params, twins, strict=True):
        for name in ACProp.state_names:
            assert low.state[p][name].dtype == torch.float32
            torch.testing.assert_close(low.state[p][name], high.state[twin][name], rtol=1e-5, atol=1e-9)


def test_avagrad_normalises_over_the_whole_group():
    start, grads = problem((6,))
    for options in ({"foreach": True}, {"foreach": False}, {"capturable": True}):
        params = [torch.from_numpy(part).clone().requires_grad_() for part in (start[:2], start[2:])]
        optimizer = AvaGrad(params, lr=1e-2, eps=1e-8, **options)
        measured = follow(optimizer, params, [(g[:2], g[2:]) for g in grads])
        expected = oracle.avagrad(start, grads, lr=1e-2, betas=(0.9, 0.999), eps=1e-8)
        np.testing.assert_allclose(np.concatenate(measured[-1]), expected[-1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_residual_has_its_cheaper_form(path):
    """g_t - m_t = beta1 (g_t - m_{t-1}): what a kernel may use must give the same second moment."""
    p = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = ACProp([p], eps=0.0 if path == "fused" else 1e-8, **PATHS[path])
    m = s = torch.zeros(5, dtype=torch.float64)
    for t in range(1, 30):
        p.grad = torch.randn(5, dtype=torch.float64)
        optimizer.step()
        kept = s + (optimizer.param_groups[0]["eps"] if t > 1 else 0)
        s = 0.999 * kept + 0.001 * (0.9 * (p.grad - m)) ** 2
        m = 0.9 * m + 0.1 * p.grad
        torch.testing.assert_close(optimizer.state[p]["exp_avg_var"], s, rtol=1e-12, atol=0)
