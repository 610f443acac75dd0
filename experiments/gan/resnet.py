"""Residual networks for 32x32: SNGAN (Miyato et al., ICLR 2018, Table 4) and, with self-attention, SAGAN (Zhang et al.,
ICML 2019), as StudioGAN has them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.gan.layers import BatchNorm, Head, Make, SelfAttention, scaled


class UpBlock(nn.Module):
    def __init__(self, channels: int, num_classes: int, make: Make, init: Make) -> None:
        super().__init__()
        self.norm1 = BatchNorm(channels, num_classes, make, init)
        self.norm2 = BatchNorm(channels, num_classes, make, init)
        self.shortcut = make(nn.Conv2d(channels, channels, 1))
        self.conv1 = make(nn.Conv2d(channels, channels, 3, padding=1))
        self.conv2 = make(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.conv1(F.interpolate(torch.relu(self.norm1(x, y)), scale_factor=2))
        h = self.conv2(torch.relu(self.norm2(h, y)))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class Generator(nn.Module):
    """(n, z_dim) noise, (n,) classes -> (n, channels, 32, 32) in [-1, 1]. `attention`: after the second block."""

    def __init__(
        self, z_dim: int, channels: int, num_classes: int, width: float, make: Make, init: Make, attention: bool
    ) -> None:
        super().__init__()
        size = scaled(256, width)
        self.linear = make(nn.Linear(z_dim, size * 4 * 4))
        self.blocks = nn.ModuleList(UpBlock(size, num_classes, make, init) for _ in range(3))
        self.attention = SelfAttention(size, make) if attention else nn.Identity()
        self.norm = nn.BatchNorm2d(size, eps=1e-4)
        self.out = make(nn.Conv2d(size, channels, 3, padding=1))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = self.linear(z).view(len(z), -1, 4, 4)
        for number, block in enumerate(self.blocks, 1):
            h = block(h, y)
            if number == 2:
                h = self.attention(h)
        return torch.tanh(self.out(torch.relu(self.norm(h))))


class FirstBlock(nn.Module):
    def __init__(self, channels: int, out: int, make: Make) -> None:
        super().__init__()
        self.shortcut = make(nn.Conv2d(channels, out, 1))
        self.conv1 = make(nn.Conv2d(channels, out, 3, padding=1))
        self.conv2 = make(nn.Conv2d(out, out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(torch.relu(self.conv1(x)))
        return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))


class Block(nn.Module):
    def __init__(self, channels: int, down: bool, make: Make) -> None:
        super().__init__()
        self.down = down
        self.shortcut = make(nn.Conv2d(channels, channels, 1)) if down else nn.Identity()
        self.conv1 = make(nn.Conv2d(channels, channels, 3, padding=1))
        self.conv2 = make(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)  # the source's ReLU works in place, so its shortcut carries relu(x) too
        h = self.conv2(torch.relu(self.conv1(x))) + self.shortcut(x)
        return F.avg_pool2d(h, 2) if self.down else h


class Discriminator(nn.Module):
    """(n, channels, 32, 32), (n,) classes -> (n,) logits. `attention`: after the first block."""

    def __init__(self, channels: int, num_classes: int, width: float, make: Make, attention: bool) -> None:
        super().__init__()
        size = scaled(128, width)
        self.first = FirstBlock(channels, size, make)
        self.attention = SelfAttention(size, make) if attention else nn.Identity()
        self.blocks = nn.Sequential(*(Block(size, down, make) for down in (True, False, False)))
        self.head = Head(size, num_classes, make)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.blocks(self.attention(self.first(x)))
        return self.head(torch.relu(h).sum((2, 3)), y)
