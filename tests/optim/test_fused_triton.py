"""The CUDA kernel without a GPU: computed by Triton's interpreter, and compiled for real GPUs."""

import importlib
import re
import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from acprop import ACProp
from acprop.optim import fused
from tests.optim.cases import CASES

STEPS = 12
SHAPES = [(), (3, 4), (1024,), (2051,)]  # less than a program's block, one, two and a rest


@pytest.fixture
def interpreted(monkeypatch):
    """ACProp steps by the Triton kernel on CPU; the module that holds it."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.delitem(sys.modules, "acprop.optim.fused_triton", raising=False)
    module = importlib.import_module("acprop.optim.fused_triton")
    monkeypatch.setattr(fused, "_step_on", lambda device: module.step_by_triton)
    yield module
    del sys.modules["acprop.optim.fused_triton"]


def gradients(shape):
    random = np.random.default_rng(len(shape))
    grads = [random.normal(size=shape) * 10.0 ** random.integers(-3, 2) for _ in range(STEPS)]
    grads[4:6] = [np.zeros(shape)] * 2
    return random.normal(size=shape), grads


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("case", [param for param in CASES if param.values[0].cls is ACProp])
def test_follows_the_transcription(case, capturable, interpreted):
    shapes = SHAPES[:2]
    problems = [gradients(shape) for shape in shapes]
    params = [torch.from_numpy(np.asarray(start)).clone().requires_grad_() for start, _ in problems]
    optimizer = ACProp(params, **case.arguments(), fused=True, capturable=capturable)
    expected = [case.expected(start, grads) for start, grads in problems]
    for t in range(STEPS):
        for p, (_, grads) in zip(params, problems, strict=True):
            p.grad = torch.from_numpy(np.asarray(grads[t]))
        optimizer.step()
        for p, path in zip(params, expected, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), path[t], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"kahan_sum": True}, {"amsgrad": True, "kahan_sum": True}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_computes_what_the_cpu_kernel_does(dtype, options, interpreted, monkeypatch):
    starts = [torch.randn(shape).to(dtype) for shape in SHAPES]
    grads = [[torch.randn(shape).to(dtype) for shape in SHAPES] for _ in range(3)]
    results = []
    for step_by in (interpreted.step_by_triton, fused.step_on_cpu):
        monkeypatch.setattr(fused, "_step_on", lambda device, step_by=step_by: step_by)
        params = [start.clone().requires_grad_() for start in starts]
        optimizer = ACProp(params, lr=0.1, weight_decay=0.1, decoupled_weight_decay=True, fused=True, **options)
        for given in grads:
            for p, grad in zip(params, given, strict=True):
                p.grad = grad
            optimizer.step()
        results.append([p.detach().float() for p in params])
    # the interpreter cuts what a GPU rounds to bfloat16
    precision = 2**-7 if dtype == torch.bfloat16 and not options.get("kahan_sum") else torch.finfo(dtype).eps
    for one, other in zip(*results, strict=True):
        assert_close(one, other, rtol=8 * precision, atol=8 * precision)


def test_ages_lr_tensors_and_moved_memory(interpreted):
    """Parameters join later and skip steps, the lr is a tensor that changes, gradients come from new memory."""
    for capturable in (False, True):
        starts = [torch.randn(n, dtype=torch.float64) for n in (5, 1100, 3)]
        runs = []
        for options in ({"fused": True, "capturable": capturable}, {"foreach": False}):
            torch.manual_seed(1)
            params = [start.clone().requires_grad_() for start in starts]
            optimizer = ACProp(params, lr=torch.tensor(0.1), weight_decay=0.1, skip_first_step=True, **options)
            for t in range(6):
                optimizer.param_groups[0]["lr"].fill_(0.1 / (1 + t))
                for i, p in enumerate(params):
                    p.grad = None if (t + i) % 3 == 0 else torch.randn_like(p)
                optimizer.step()
            runs.append((params, [optimizer.state[p]["step"].item() for p in params]))
        assert runs[0][1] == runs[1][1]
        for one, other in zip(runs[0][0], runs[1][0], strict=True):
            assert_close(one, other, rtol=1e-7, atol=1e-9)  # 0.1 as float32 and as the float64 it is


def test_device_memory_is_written_where_something_changed_only(interpreted, monkeypatch):
    writes = []

    def count(places, numbers, original=torch._foreach_add_):
        writes.append(len(places))
        original(places, numbers)

    p = torch.ones(3, requires_grad=True)
    p.grad = torch.ones(3)
    optimizer = ACProp([p], fused=True)
    optimizer.step()
    monkeypatch.setattr(interpreted.torch, "_foreach_add_", count)
    optimizer.step()
    assert max(writes) <= 5, writes  # some scalars of the second step, no address
    assert len(optimizer._tables) == 1


def test_what_a_cuda_graph_reads_stays_as_it_was(interpreted, monkeypatch):
    p = torch.ones(3, requires_grad=True)
    p.grad = torch.ones(3)
    optimizer = ACProp([p], fused=True, capturable=True)
    optimizer.step()
    monkeypatch.setattr(interpreted, "_is_capturing", lambda device: True)
    optimizer.step()
    monkeypatch.undo()
    monkeypatch.setattr(fused, "_step_on", lambda device: interpreted.step_by_triton)
    (captured,) = [table for key, table in optimizer._tables.items() if key[0] == "captured"]
    words = captured.words.memory.clone()
    kept = p.grad
    p.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(captured.words.memory, words)
    assert kept.data_ptr() in words.tolist()
    assert p.grad.data_ptr() not in words.tolist()


def test_a_cuda_graph_asks_for_capturable(interpreted, monkeypatch):
    p = torch.ones(3, requires_grad=True)
    p.grad = torch.ones(3)
    optimizer = ACProp([p], fused=True)
    monkeypatch.setattr(interpreted, "_is_capturing", lambda device: True)
    with pytest.raises(RuntimeError, match="capturable=True"):
        optimizer.step()
    assert optimizer.state[p]["step"] == 0


def test_a_copy_of_the_optimizer_has_memory_of_its_own(interpreted):
    import copy

    p = torch.ones(3, requires_grad=True)
    p.grad = torch.ones(3)
    optimizer = ACProp([p], fused=True)
    optimizer.step()
    other = copy.deepcopy(optimizer)
    (q,) = other.param_groups[0]["params"]
    q.grad = torch.ones(3)
    other.step()
    assert (p - q).abs().max() > 0
    optimizer.step()
    assert_close(p, q)


# -- compiled for GPUs, which needs none -------------------------------------------------------------------------------


def compiled(capability, dtype, options):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    fused_triton = importlib.import_module("acprop.optim.fused_triton")
    low = dtype in (torch.bfloat16, torch.float16)
    constants = {
        "T": fused_triton.TYPES[dtype], "S": triton.language.float32 if low else fused_triton.TYPES[dtype],
        "LOW": None, "AMSGRAD": False, "ALIGNED": True, "BLOCK": fused_triton.BLOCK, **options,
    }  # fmt: skip
    signature = {"words": "*i64", "which": "*i64", "scalars": "*fp64", "count": "i32", "stride": "i32"}
    source = ASTSource(
        fn=fused_triton._kernel, signature={**signature, **dict.fromkeys(constants, "constexpr")}, constexprs=constants
    )
    return triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm


@pytest.mark.parametrize("capability", [75, 80, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_compiles_for_a_gpu_and_moves_16_bytes_an_access(dtype, capability):
    assembly = compiled(capability, dtype, {})["ptx"]
    wide = r"v2\.(b|f)64" if dtype == torch.float64 else r"v4\.(b|f)32"
    for access in ("ld", "st"):
        assert re.search(rf"{access}\.global\S*\.{wide}", assembly)
    if dtype != torch.float64:
        assert {"sqrt.rn.f32", "div.rn.f32"} <= set(re.findall(r"(?:sqrt|div)\S*", assembly))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_compiles_with_low_bits_and_unaligned_memory(dtype):
    low_bits = importlib.import_module("acprop.optim.fused_triton").LOW_BITS
    options = {"LOW": low_bits[dtype], "AMSGRAD": True}
    assert "v4" in compiled(80, dtype, options)["ptx"]
    assert "v4" not in compiled(80, dtype, {**options, "ALIGNED": False})["ptx"]


def test_where_triton_is_missing_one_line_says_so(monkeypatch):
    monkeypatch.delitem(sys.modules, "acprop.optim.fused_triton", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(RuntimeError, match=r"fused=True on cuda:0 needs Triton \(.*\); use fused=False"):
        fused._step_on(torch.device("cuda", 0))
