"""Networks of convolutions one after the other, for 32x32: StudioGAN's DCGAN, and the standard CNN of Miyato et al.
(ICLR 2018, Table 3) that the relativistic GAN uses. They share all sizes; the caller says what lies between them."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from experiments.gan.layers import BatchNorm, Head, Make, scaled


class Generator(nn.Module):
    """(n, z_dim) noise, (n,) classes -> (n, channels, 32, 32) in [-1, 1]; 3,812,355 parameters without classes."""

    def __init__(
        self, z_dim: int, channels: int, num_classes: int, width: float, make: Make, init: Make, bn_eps: float
    ) -> None:
        super().__init__()
        sizes = [scaled(c, width) for c in (512, 256, 128, 64)]
        self.linear = make(nn.Linear(z_dim, sizes[0] * 4 * 4))
        self.ups = nn.ModuleList(make(nn.ConvTranspose2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(BatchNorm(b, num_classes, make, init, bn_eps) for b in sizes[1:])
        self.out = make(nn.Conv2d(sizes[-1], channels, 3, padding=1))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = self.linear(z).view(len(z), -1, 4, 4)
        for up, norm in zip(self.ups, self.norms, strict=True):
            h = torch.relu(norm(up(h), y))
        return torch.tanh(self.out(h))


class Discriminator(nn.Module):
    """(n, channels, 32, 32), (n,) classes -> (n,) logits.

    Args:
        batch_norm: after every convolution, as DCGAN has it; otherwise `make` normalises the weights.
        pool: sum over the last 4x4 positions before the head (DCGAN), or hand all of them to it.
        make_head: how the head's layers are made.
    """

    def __init__(
        self, channels: int, num_classes: int, width: float, make: Make, make_head: Make,
        activation: Callable[[Tensor], Tensor], batch_norm: bool, pool: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        a, b, c, d = (scaled(size, width) for size in (64, 128, 256, 512))
        # 32x32 -> 16x16 -> 8x8 -> 4x4: a 3x3 convolution, then a 4x4 one of stride 2
        shapes = [(channels, a, 3), (a, a, 4), (a, b, 3), (b, b, 4), (b, c, 3), (c, c, 4), (c, d, 3)]
        self.convs = nn.ModuleList(make(nn.Conv2d(i, o, k, stride=k - 2, padding=1)) for i, o, k in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o, eps=1e-4) if batch_norm else nn.Identity() for _, o, _ in shapes)
        self.head = Head(d if pool else d * 4 * 4, num_classes, make_head)
        self.activation, self.pool = activation, pool

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.activation(norm(conv(x)))
        return self.head(x.sum((2, 3)) if self.pool else x.flatten(1), y)
