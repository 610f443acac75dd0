"""1x1 convolutions with a stride: right on every CPU, and what is not is refused."""

import json
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from acprop.runs import UsageError
from experiments.images.models import convolutions
from experiments.images.models.convolutions import Pointwise, gradient_error, require_safe

# In a process of its own, since what this guards against is a crash.
GRADIENTS = """
import json, sys, torch
from torch import nn
import torch.nn.functional as F
from experiments.images.models import resnet34, wrn28_10

torch.set_num_threads(int(sys.argv[1]))
layout, errors = torch.channels_last, {}
for net in (resnet34, wrn28_10):
    for width in (0.0625, 0.125):
        gradients = []
        for dtype in (torch.float32, torch.float64):
            torch.manual_seed(0)
            model = net(10, 1, width).to(dtype, memory_format=layout)
            x = torch.randn(16, 1, 32, 32).to(dtype).contiguous(memory_format=layout)
            F.cross_entropy(model(x), torch.arange(16) % 10).backward()
            gradients.append({n: p.grad for n, p in model.named_parameters() if "shortcut" in n and p.dim() == 4})
        found, exact = gradients
        error = max(((found[n] - exact[n]).norm() / exact[n].norm()).item() for n in exact)
        errors[f"{net.__name__} {width} {len(exact)}"] = error
print(json.dumps(errors))
"""


@pytest.mark.parametrize(("isa", "threads"), [("AVX2", 1), ("AVX2", 2), ("DEFAULT", 2)])
def test_narrow_nets_have_the_gradients_of_float64_whatever_the_cpu(isa, threads, command):
    done = command("-c", GRADIENTS, str(threads), ONEDNN_MAX_CPU_ISA=isa, OMP_WAIT_POLICY="passive")
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert len(errors) == 4
    # a ReLU that rounding opens costs a hundredth, the fault half of the gradient or all
    assert all(error < 0.1 for error in errors.values()), errors


@pytest.mark.parametrize("channels", [16, 64])
def test_the_layer_is_torchs_own_to_the_bit(channels):
    torch.manual_seed(1)
    ours = Pointwise(channels, 2 * channels, 2)
    torch.manual_seed(1)
    theirs = nn.Conv2d(channels, 2 * channels, 1, 2, bias=False)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    results = []
    for layer in (ours, theirs):
        x = torch.randn(8, channels, 8, 8, generator=torch.Generator().manual_seed(2), requires_grad=True)
        y = layer.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
        results.append([y, *torch.autograd.grad(y.square().sum(), (layer.weight, x))])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_net_with_the_faulty_kind_is_refused_by_name():
    fine = nn.Sequential(nn.Conv2d(16, 32, 1, 2), nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 3, 2), Pointwise(3, 8, 2))
    require_safe(model=fine)
    with pytest.raises(UsageError, match=r"^model: 1\.0 is a 1x1 .* over 8 channels.*channels_last=false$"):
        require_safe(model=nn.Sequential(fine, nn.Sequential(nn.Conv2d(8, 16, 1, 2))))


def test_a_cpu_that_computes_a_wrong_gradient_is_refused(monkeypatch):
    assert gradient_error() < 1e-5

    def wrong(x, weight, **settings):
        y = F.conv2d(x, weight, **settings)
        return y if weight.dtype == torch.float64 else 1.2 * y

    monkeypatch.setattr(convolutions, "F", type("library", (), {"conv2d": staticmethod(wrong)}))
    monkeypatch.setattr(convolutions, "gradient_error", partial(gradient_error.__wrapped__))
    with pytest.raises(UsageError, match=r"off by 44%.*channels_last=false"):
        require_safe(model=nn.Sequential())


def test_looking_leaves_no_trace_in_a_runs_random_numbers():
    before = torch.get_rng_state()
    gradient_error.__wrapped__()
    assert torch.equal(torch.get_rng_state(), before)
