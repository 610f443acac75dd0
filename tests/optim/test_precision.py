"""bfloat16 and float16 parameters that train: the bits that they lack, and state of the right type."""

import copy

import pytest
import torch

from acprop import ACProp
from acprop.optim.tensors import join, no_low_bits, split_
from tests.optim.cases import OPTIMIZERS, PATHS

LOW = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", LOW)
def test_joined_bits_are_the_float32(dtype):
    """All of a float32 comes back from a bfloat16 and its low bits; 22 bits and the range from a float16."""
    torch.manual_seed(0)
    values = torch.randn(100_000) * 10.0 ** torch.randint(-4, 4, (100_000,))
    edges = torch.tensor([0.0, -0.0, 1.0, -1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 2**-14, 65000.0])
    master = torch.cat([values, edges, torch.tensor([3.3e38, 1e-30] if dtype == torch.bfloat16 else [1e-7, 3e-6])])
    param = torch.zeros_like(master, dtype=dtype)
    low = no_low_bits(param)
    split_(master, param, low)
    assert (param.float() - master.to(dtype).float()).abs().max() <= (master.abs() * 2**-7).max()
    back = join(param, low)
    if dtype == torch.bfloat16:
        assert torch.equal(back.view(torch.int32), master.view(torch.int32))
        ties = (master.view(torch.int32) & 0xFFFF) == 0x8000
        assert torch.equal(param[~ties], master.to(dtype)[~ties]), "rounded to nearest"
    else:
        torch.testing.assert_close(back, master, rtol=2**-22, atol=2**-24 * 2**-11)
        assert torch.equal(param, master.to(dtype))


def test_infinity_and_nan_stay():
    master = torch.tensor([torch.inf, -torch.inf, torch.nan])
    for dtype in LOW:
        param = torch.zeros(3, dtype=dtype)
        low = no_low_bits(param)
        split_(master, param, low)
        assert torch.equal(param[:2].float(), master[:2])
        assert param[2].isnan()


def gradients(params, steps):
    """A list a step, of values that all the dtypes hold."""
    torch.manual_seed(1)
    return [[(torch.randn(p.shape) + 1).to(torch.bfloat16).half() for p in params] for _ in range(steps)]


def follow(optimizer, params, grads):
    for given in grads:
        for p, grad in zip(params, given, strict=True):
            p.grad = grad.to(p.dtype)
        optimizer.step()


ALL_PATHS = [(cls, path) for cls in OPTIMIZERS for path in PATHS if path != "fused" or cls is ACProp]


@pytest.mark.parametrize(("cls", "path"), ALL_PATHS, ids=str)
@pytest.mark.parametrize("dtype", LOW)
def test_small_steps_add_up(dtype, cls, path):
    """At a small lr parameters near 1 do not move in their own precision; with `kahan_sum` a float32's, rounded, do."""
    lr = {torch.bfloat16: 1e-5, torch.float16: 1e-6}[dtype]
    start = [torch.linspace(0.5, 2, n).to(dtype) for n in (7, 5)]
    grads, options = gradients(start, 60), {"lr": lr, **PATHS[path]}
    low, kept = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    high = [p.float().requires_grad_() for p in start]
    follow(cls(low, **options), low, grads)
    follow(cls(kept, **options, kahan_sum=True), kept, grads)
    follow(cls(high, **options), high, grads)
    for a, b, c, d in zip(start, low, kept, high, strict=True):
        moved = (d - a.float()).abs().max()
        assert moved > 10 * lr
        assert torch.equal(a, b), "so small a step is lost"
        torch.testing.assert_close(c.float(), d, rtol=torch.finfo(dtype).eps * 0.51, atol=0)


def test_bfloat16_ends_where_float32_does():
    start = torch.linspace(0.5, 2, 7).bfloat16()
    kept, high = start.clone().requires_grad_(), start.float().requires_grad_()
    grads = gradients([start], 1000)
    optimizer = ACProp([kept], lr=1e-5, kahan_sum=True)
    follow(optimizer, [kept], grads)
    follow(ACProp([high], lr=1e-5), [high], grads)
    assert (high - start.float()).abs().max() > 5e-3
    assert torch.equal(join(kept.detach(), optimizer.state[kept]["low_bits"]), high.detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_resumes_to_the_bit(dtype):
    params = [torch.linspace(0.5, 2, 7).to(dtype).requires_grad_()]
    optimizer = ACProp(params, lr=1e-4, kahan_sum=True)
    grads = gradients(params, 40)
    follow(optimizer, params, grads[:20])
    others = [p.detach().clone().requires_grad_() for p in params]
    resumed = ACProp(others, kahan_sum=True)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for ours, theirs in ((params, optimizer), (others, resumed)):
        follow(theirs, ours, grads[20:])
    assert torch.equal(params[0], others[0])
    for name, value in optimizer.state[params[0]].items():
        assert torch.equal(resumed.state[others[0]][name], value)


def test_costs_two_bytes_a_parameter():
    p = torch.zeros(64, dtype=torch.bfloat16, requires_grad=True)
    optimizer = ACProp([p], kahan_sum=True)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert optimizer.state[p]["low_bits"].nbytes == 2 * 64
    assert set(ACProp([p]).state[p]) == set()


def test_is_refused_where_autograd_records():
    with pytest.raises(ValueError, match=r"kahan_sum=True .* off with differentiable=True"):
        ACProp([torch.zeros(1, requires_grad=True)], kahan_sum=True, differentiable=True)


@pytest.mark.parametrize("cls", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_complex32_has_complex64_state(cls):
    z = torch.zeros(3, dtype=torch.complex32, requires_grad=True)
    optimizer = cls([z], lr=0.1, kahan_sum=True)
    for _ in range(12):
        z.grad = torch.view_as_complex(torch.ones(3, 2, dtype=torch.float16))
        optimizer.step()
    assert optimizer.state[z]["exp_avg"].dtype == torch.complex64
    assert (torch.view_as_real(z.detach()) < 0).all()
