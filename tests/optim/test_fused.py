"""The fused step on CPU: what the kernel takes, what it hands to the default path, where it comes from."""

import io
import os
import stat
import subprocess
import sys
import tempfile

import pytest
import torch
import torch.distributed as dist
from torch._subclasses import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing import assert_close
from torch.testing._internal.two_tensor import TwoTensor

from acprop import ACProp
from acprop.optim import fused, kernel
from tests.conftest import ROOT

TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@pytest.fixture
def taken(monkeypatch):
    """How many rows the kernel took, a number a call."""
    counts = []

    def step(memory, tables, original=fused.step_on_cpu):
        counts.append(len(memory.params))
        original(memory, tables)

    monkeypatch.setattr(fused, "step_on_cpu", step)
    return counts


def both_paths(make, steps=5, **options):
    """Parameters after steps by the kernel and by the default path; `make()` gives pairs of parameter and gradient."""
    results = []
    for is_fused in (True, False):
        torch.manual_seed(0)
        pairs = make()
        optimizer = ACProp([p for p, _ in pairs], lr=0.1, weight_decay=0.1, fused=is_fused, **options)
        for _ in range(steps):
            for p, grad in pairs:
                p.grad = grad
            optimizer.step()
        results.append([p.detach() for p, _ in pairs])
    return zip(*results, strict=True)


def leaf(tensor):
    return tensor.requires_grad_()


# -- the maths of the kernel, for each type and processor --------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"kahan_sum": True}, {"amsgrad": True, "kahan_sum": True}])
@pytest.mark.parametrize("dtype", TYPES)
def test_kernel_computes_what_the_default_path_does(dtype, options, taken):
    def make():
        shapes = [(), (1,), (3, 4), (1029,)]
        return [(leaf(torch.randn(s).to(dtype)), torch.randn(s).to(dtype)) for s in shapes]

    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {}
    for one, other in both_paths(make, **options):
        assert_close(one, other, **tolerance)
    assert taken == [4] * 5


def capabilities():
    """The instruction sets that this processor has."""
    best = torch.backends.cpu.get_cpu_capability()
    names = list(kernel.CAPABILITIES)
    return names[: names.index(best) + 1] if best in names else names[:1]


@pytest.fixture(params=capabilities())
def each_processor(request, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "kernels"))
    library = kernel.load(request.param)
    monkeypatch.setattr(fused, "library", lambda: library)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_16_bit_number_is_read_and_rounded_as_torch_does(dtype, each_processor):
    numbers = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    numbers = numbers[~numbers.isinf()]  # of which 0 times is NaN
    for decay in (0.0, 0.3, 0.999, 1 - 2**-12, 1 - 2**-13):
        p = leaf(numbers.clone())
        p.grad = torch.zeros_like(p)
        ACProp([p], lr=1.0, fused=True, weight_decay=decay, decoupled_weight_decay="fixed").step()
        assert_close(p.detach(), numbers.float().mul(1 - decay).to(dtype), rtol=0, atol=0, equal_nan=True)
    p = leaf(numbers.clone())  # and into infinity
    p.grad = numbers.clone()
    ACProp([p], lr=4.0, fused=True, maximize=True).step()
    assert_close(p.detach(), (numbers.float() * 5).to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_all_elements(threads):
    torch.set_num_threads(threads)
    for one, other in both_paths(lambda: [(leaf(torch.randn(n)), torch.randn(n)) for n in (5, 70_001, 1, 9_000)]):
        assert_close(one, other)


def test_parameters_of_different_age_and_type_step_together(taken):
    params = [leaf(torch.ones(3, dtype=dtype)) for dtype in TYPES * 2]
    twins = [leaf(p.detach().clone()) for p in params]
    one, other = ACProp(params, lr=0.1, fused=True), ACProp(twins, lr=0.1)
    for t in range(6):
        for i, (p, twin) in enumerate(zip(params, twins, strict=True)):
            p.grad = None if (t + i) % 3 == 0 else torch.full_like(p, 0.5 + t)
            twin.grad = p.grad
        one.step()
        other.step()
    for p, twin in zip(params, twins, strict=True):
        assert_close(p, twin)
        assert one.state[p]["step"] == other.state[twin]["step"]


def test_fused_counts_as_a_change_for_autograd():
    p = leaf(torch.ones(2))
    optimizer = ACProp([p], fused=True)
    loss = (p * p).sum()
    p.grad = torch.ones(2)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# -- what the kernel takes, and what goes the default way --------------------------------------------------------------


def permuted():
    return torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)


ODD = {  # a parameter, its gradient, whether the kernel takes it
    "channels_last": lambda: (permuted(), permuted(), True),
    "channels_last with a contiguous gradient": lambda: (permuted(), permuted().contiguous(), False),
    "1x1 kernels are in both orders": lambda: (
        torch.randn(4, 3, 1, 1), torch.randn(4, 3, 1, 1).to(memory_format=torch.channels_last), True
    ),
    "transposed": lambda: (torch.randn(6, 4).t(), torch.randn(6, 4).t(), False),
    "strided": lambda: (torch.randn(4, 6)[:, ::2], torch.randn(4, 3), False),
    "expanded gradient": lambda: (torch.randn(4, 3), torch.randn(1, 3).expand(4, 3), False),
    "off by one element": lambda: (torch.randn(8)[1:], torch.randn(9)[2:], True),
    "complex": lambda: (torch.randn(3, dtype=torch.complex64), torch.randn(3, dtype=torch.complex64), False),
    "conjugate gradient": lambda: (
        torch.randn(3, dtype=torch.complex64), torch.randn(3, dtype=torch.complex64).conj(), False
    ),
    "negative bit": lambda: (torch.randn(3), torch.randn(3, dtype=torch.complex64).conj().imag, False),
    "negative view": lambda: (torch.randn(3), torch._neg_view(torch.randn(3)), False),
    "zeros that are only promised": lambda: (torch.randn(3), torch._efficientzerotensor(3), False),
    "a subclass": lambda: (TwoTensor(torch.ones(3), torch.ones(3)), TwoTensor(torch.ones(3), torch.ones(3)), False),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_tensors_are_taken_or_handed_over(name, taken):
    def make():
        param, grad, _ = ODD[name]()
        plain = torch.randn(5)
        return [(leaf(plain), plain.detach().clone()), (leaf(param.detach()), grad)]

    results = list(both_paths(make))
    if name == "a subclass":
        results[1] = (results[1][0].a, results[1][1].a)
    for one, other in results:
        assert_close(one, other)
    assert taken == [2 if ODD[name]()[2] else 1] * 5


def test_state_that_does_not_fit_is_refused_as_by_the_default_path():
    """`load_state_dict` looks at no shape; a kernel would read past the end."""
    for shape in ((3,), (4, 2)):
        small, large = leaf(torch.ones(shape)), leaf(torch.ones(2, 4))
        small.grad, large.grad = torch.ones(shape), torch.ones(2, 4)
        saved = ACProp([small])
        saved.step()
        optimizer = ACProp([large], fused=True)
        optimizer.load_state_dict(saved.state_dict())
        with pytest.raises(RuntimeError, match="size"):
            optimizer.step()


def test_freed_storage_is_not_written_to():
    p = leaf(torch.ones(4))
    p.grad = torch.ones(4)
    optimizer = ACProp([p], fused=True)
    optimizer.step()
    p.untyped_storage().resize_(0)
    row = [[p], [p.grad], *([value] for value in optimizer.state[p].values())]
    words = fused._words(row, p.dtype, p.device, optimizer.param_groups[0])
    assert words == []


def test_meta_and_fake_tensors_step_without_a_kernel(taken):
    p = leaf(torch.zeros(2, device="meta"))
    p.grad = torch.zeros(2, device="meta")
    ACProp([p], fused=True).step()
    with FakeTensorMode():
        q = leaf(torch.ones(3))
        q.grad = torch.ones(3)
        optimizer = ACProp([q], fused=True)
        optimizer.step()
        assert optimizer.state[q]["exp_avg"].shape == (3,)
    assert taken == []


def test_a_mode_that_watches_operations_sees_them():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Names(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    p = leaf(torch.ones(2))
    p.grad = torch.ones(2)
    with Names() as names:
        ACProp([p], fused=True).step()
    assert any("lerp" in name for name in names.seen)
    assert_close(p.detach(), torch.ones(2) - 1e-3)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_inside_a_transform_of_functions_the_default_path_steps():
    def after(x):
        p = x.clone()
        p.grad = torch.ones(2)
        ACProp([p], lr=0.1, fused=True).step()
        return p.sum()

    assert_close(torch.func.vmap(after)(torch.ones(3, 2)), torch.full((3,), 1.8))


def test_a_device_without_a_kernel_is_named():
    with pytest.raises(RuntimeError, match="fused=True runs on cpu and cuda, these parameters are on mps:0"):
        fused._step_on(torch.device("mps", 0))


def test_of_a_dtensor_the_kernel_takes_the_share(taken):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))

        def make():
            sharded, grad = (distribute_tensor(torch.randn(4, 3), mesh, [Shard(0)]) for _ in range(2))
            return [(leaf(sharded), grad), (leaf(torch.randn(3)), torch.randn(3))]

        for one, other in both_paths(make):
            assert_close(one, other)
        assert taken == [2] * 5
    finally:
        dist.destroy_process_group()


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mine", [True, False])
def test_a_checkpoint_does_not_decide_whether_the_step_is_fused(mine):
    params = [leaf(torch.ones(3)), leaf(torch.ones(2))]
    for p in params:
        p.grad = torch.ones_like(p)
    saved = ACProp([{"params": params[:1]}, {"params": params[1:]}], lr=0.3, fused=not mine)
    saved.step()
    buffer = io.BytesIO()
    torch.save(saved.state_dict(), buffer)
    buffer.seek(0)
    twins = [leaf(p.detach().clone()) for p in params]
    loaded = ACProp([{"params": twins[:1]}, {"params": twins[1:], "fused": not mine}], lr=0.1, fused=mine)
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    assert [group["fused"] for group in loaded.param_groups] == [mine, not mine]
    assert [group["lr"] for group in loaded.param_groups] == [0.3, 0.3]
    for p, twin in zip(params, twins, strict=True):
        twin.grad = p.grad.clone()
    saved.step()
    loaded.step()
    for p, twin in zip(params, twins, strict=True):
        assert_close(p, twin)


# -- where the kernel comes from ---------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A package folder without compiled kernels, whose source compiles fast, and a cache that is empty."""
    path = tmp_path / "package" / "fused.cpp"
    path.parent.mkdir()
    path.write_text('extern "C" int answer() { return 42; }\n')
    monkeypatch.setattr(kernel, "SOURCE", path)
    monkeypatch.setattr(kernel, "PACKAGE", path.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def without_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")


def test_without_a_compiler_one_line_says_so(tmp_path):
    """In a fresh process, with the package's sources alone."""
    for path in [ROOT / "acprop" / "__init__.py", *(ROOT / "acprop" / "optim").iterdir()]:
        if path.suffix in (".py", ".cpp"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    step = (
        "import torch; from acprop import ACProp; p = torch.zeros(2, requires_grad=True); p.grad = torch.ones(2); "
        "ACProp([p], fused=True).step()"
    )
    variables = {"PYTHONPATH": str(tmp_path), "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", step], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "RuntimeError: ACProp: fused=True found no compiled kernel and could not compile one" in last
    assert "no-such-compiler" in last


def test_a_compiler_that_fails_is_quoted(source):
    source.write_text("no C++\n")
    with pytest.raises(RuntimeError, match=r"could not compile one \(.*error: .*\); install a C\+\+") as caught:
        kernel.load("DEFAULT")
    assert "\n" not in str(caught.value)


def test_a_warm_cache_needs_no_compiler(source, tmp_path, monkeypatch):
    assert kernel.load("DEFAULT").answer() == 42
    assert [path.name for path in (tmp_path / "cache" / "acprop").iterdir()] == [kernel.library_name("DEFAULT")]
    without_compiler(monkeypatch)
    assert kernel.load("DEFAULT").answer() == 42


def test_a_kernel_that_came_with_the_package_needs_no_cache_and_no_compiler(source, tmp_path, monkeypatch):
    kernel.compile_kernel("DEFAULT", source.parent)
    without_compiler(monkeypatch)
    assert kernel.load("DEFAULT").answer() == 42
    assert not (tmp_path / "cache").exists()


def test_a_kernel_of_another_source_is_not_taken(source, monkeypatch):
    kernel.compile_kernel("DEFAULT", source.parent)
    source.write_text(source.read_text() + "// changed\n")
    without_compiler(monkeypatch)
    with pytest.raises(RuntimeError, match="no-such-compiler"):
        kernel.load("DEFAULT")


def test_an_unknown_processor_gets_the_kernel_for_all(source):
    assert kernel.load("AVX2048").answer() == 42


@pytest.mark.parametrize("trouble", ["is a file", "cannot be written", "holds half a kernel", "has no place"])
def test_a_cache_that_does_not_serve_is_done_without(source, tmp_path, monkeypatch, trouble):
    cache = tmp_path / "cache" / "acprop"
    cache.parent.mkdir()
    if trouble == "is a file":
        cache.write_text("")
    elif trouble == "cannot be written":
        cache.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
        if os.geteuid() == 0:  # whom no permission stops, but /proc does
            monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    elif trouble == "holds half a kernel":
        cache.mkdir()
        (cache / kernel.library_name("DEFAULT")).write_bytes(b"\x7fELF")
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "not/absolute")
        monkeypatch.chdir(tmp_path)
    assert kernel.load("DEFAULT").answer() == 42
    assert not (tmp_path / "not").exists()


def test_a_cache_from_which_nothing_may_be_loaded_is_done_without(source, tmp_path, monkeypatch):
    """As where it is mounted noexec."""

    def load(path, original=kernel.CDLL):
        if path.startswith(str(tmp_path / "cache")):
            raise OSError("failed to map segment from shared object")
        return original(path)

    monkeypatch.setattr(kernel, "CDLL", load)
    assert kernel.load("DEFAULT").answer() == 42


def test_a_full_disk_is_one_line(source, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(RuntimeError, match=r"could not compile one \(.*No space left on device\); install a C\+\+"):
        kernel.load("DEFAULT")
