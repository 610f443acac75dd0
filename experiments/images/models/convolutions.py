"""1x1 convolutions with a stride in the one form that every CPU computes rightly, and a look at a net before it trains.

oneDNN 3.12 (in torch 2.14) forms the weight gradient of a 1x1 convolution with a stride from memory beyond its own
where a channels_last input has fewer channels than a vector register holds: 8 on AVX2, 16 on AVX-512
(https://github.com/uxlfoundation/oneDNN/issues/6035). It crashes, or the gradient is wrong and nothing says so. A
convolution without a stride does not reach that code.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acprop.runs import UsageError

REGISTER = 16  # fp32 numbers in the widest vector register


class Pointwise(nn.Conv2d):
    """`nn.Conv2d(channels, out, 1, stride, bias=False)`, to the bit and with its parameters; the pixels are picked
    before the convolution."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__(channels, out, 1, bias=False)
        self.every = stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., :: self.every, :: self.every])


def require_safe(**nets: nn.Module) -> None:
    """For nets, by the name of their setting, that a CPU will train in channels_last.

    Raises:
        UsageError: a net has a convolution that oneDNN gets wrong, or this CPU gets one wrong that every net has.
    """
    for setting, net in nets.items():
        for name, layer in net.named_modules():
            strided = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.stride != (1, 1)
            if strided and layer.in_channels < REGISTER:
                raise UsageError(
                    f"{setting}: {name} is a 1x1 convolution with a stride over {layer.in_channels} channels, of which "
                    "some CPUs compute a wrong gradient; make it experiments.images.models.convolutions.Pointwise, "
                    f"widen it to {REGISTER} channels, or set channels_last=false"
                )
    error = gradient_error()
    if not error < 1e-3:
        raise UsageError(
            f"channels_last=True: torch {torch.__version__} computes wrong gradients of convolutions on this CPU "
            f"(off by {error:.0%}); set channels_last=false, or install another version of torch"
        )


@cache
def gradient_error() -> float:
    """The largest relative error of the weight gradients of small channels_last convolutions, against float64, which
    torch computes without oneDNN. Milliseconds, once a process; the global generators stay as they are."""
    random = torch.Generator().manual_seed(0)
    worst = 0.0
    for channels in (3, 8):
        x = torch.randn(8, channels, 16, 16, generator=random).contiguous(memory_format=torch.channels_last)
        for kernel, stride in ((1, 1), (1, 2), (3, 1), (3, 2), (4, 2)):
            picked, step = (x[..., ::stride, ::stride], 1) if kernel == 1 else (x, stride)
            weight = torch.randn(8, channels, kernel, kernel, generator=random)
            gradients = []
            for dtype in (torch.float32, torch.float64):
                w = weight.to(dtype, memory_format=torch.channels_last).requires_grad_()
                y = F.conv2d(picked.to(dtype), w, stride=step, padding=(kernel - 1) // 2)
                gradients.append(torch.autograd.grad(y.square().sum(), w)[0])
            found, exact = gradients
            worst = max(worst, ((found - exact).abs().max() / exact.abs().max()).item())
    return worst
