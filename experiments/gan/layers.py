"""What the GANs are made of. `Make` is how a network creates its layers: initialised, and spectrally normalised if its
configuration says so (Miyato et al., ICLR 2018), by torch's own parametrisation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Make = Callable[[nn.Module], nn.Module]


def orthogonal(layer: nn.Module) -> nn.Module:
    """StudioGAN's "ortho": orthogonal weights and zero biases; batch norm stays as torch makes it."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
        nn.init.orthogonal_(layer.weight)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def normal(layer: nn.Module) -> nn.Module:
    """DCGAN's: convolutions N(0, 0.02), batch norm gain N(1, 0.02); linear layers stay as torch makes them."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
        nn.init.normal_(layer.weight, 1, 0.02)
    return layer


def spectral(init: Make) -> Make:
    """Layers of `init`, their weights divided by their largest singular value."""
    return lambda layer: spectral_norm(init(layer), eps=1e-6)


def scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


class BatchNorm(nn.Module):
    """Batch norm; with `num_classes`, gain and bias are those of each image's class (Dumoulin et al., ICLR 2017)."""

    def __init__(self, channels: int, num_classes: int, make: Make, init: Make, eps: float = 1e-4) -> None:
        super().__init__()
        self.norm = init(nn.BatchNorm2d(channels, eps=eps, affine=not num_classes))
        self.gain = make(nn.Embedding(num_classes, channels)) if num_classes else None
        self.bias = make(nn.Embedding(num_classes, channels)) if num_classes else None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = self.norm(x)
        if self.gain is None or self.bias is None:
            return x
        return x * (1 + self.gain(y))[:, :, None, None] + self.bias(y)[:, :, None, None]


class SelfAttention(nn.Module):
    """Every position looks at every second one (Zhang et al., ICML 2019); `gamma` starts at 0: first the identity."""

    def __init__(self, channels: int, make: Make) -> None:
        super().__init__()
        self.keys, self.values = max(1, channels // 8), max(1, channels // 2)
        self.theta = make(nn.Conv2d(channels, self.keys, 1, bias=False))
        self.phi = make(nn.Conv2d(channels, self.keys, 1, bias=False))
        self.g = make(nn.Conv2d(channels, self.values, 1, bias=False))
        self.out = make(nn.Conv2d(self.values, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        theta = self.theta(x).view(n, self.keys, h * w)
        phi = F.max_pool2d(self.phi(x), 2).view(n, self.keys, h * w // 4)
        g = F.max_pool2d(self.g(x), 2).view(n, self.values, h * w // 4)
        attention = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)  # (n, h w, h w / 4)
        return x + self.gamma * self.out((g @ attention.transpose(1, 2)).view(n, self.values, h, w))


class Head(nn.Module):
    """Features (n, f) -> logits (n,): linear, plus with `num_classes` the projection on the class's embedding (Miyato
    and Koyama, ICLR 2018)."""

    def __init__(self, features: int, num_classes: int, make: Make) -> None:
        super().__init__()
        self.linear = make(nn.Linear(features, 1))
        self.embedding = make(nn.Embedding(num_classes, features)) if num_classes else None

    def forward(self, h: Tensor, y: Tensor) -> Tensor:
        logits = self.linear(h).squeeze(1)
        return logits if self.embedding is None else logits + (self.embedding(y) * h).sum(1)
