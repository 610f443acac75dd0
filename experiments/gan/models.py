"""Table 4's four GANs. `width` multiplies all channel counts (1.0 is the paper's); `conditional` gives the generator
class-conditional batch norm and the discriminator a projection on the class."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acprop.runs import require, require_one_of
from experiments.gan import convnet, resnet
from experiments.gan.layers import normal, orthogonal, spectral
from experiments.gan.losses import LOSSES, Loss


@dataclass
class GAN:
    """Two networks and the game they play.

    Attributes:
        generator: (n, z_dim) noise, (n,) classes -> (n, C, 32, 32) images in [-1, 1].
        discriminator: images, classes -> (n,) logits, high for real.
        d_steps: steps of the discriminator per step of the generator.
    """

    generator: nn.Module
    discriminator: nn.Module
    loss: Loss
    d_steps: int
    z_dim: int
    num_classes: int

    def to(self, device: torch.device, memory_format: torch.memory_format) -> None:
        for net in (self.generator, self.discriminator):
            net.to(device).to(memory_format=memory_format)

    def noise(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """A generator's input: standard normal z, uniform classes."""
        return torch.randn(count, self.z_dim, device=device), torch.randint(self.num_classes, (count,), device=device)


def _game(generator: nn.Module, discriminator: nn.Module, loss: str, d_steps: int, z_dim: int, num_classes: int) -> GAN:
    require_one_of("model.loss", loss, LOSSES)
    require(isinstance(d_steps, int) and d_steps > 0, "model.d_steps", d_steps, "a whole number > 0")
    return GAN(generator, discriminator, LOSSES[loss], d_steps, z_dim, num_classes)


def dcgan(
    num_classes: int, in_channels: int, width: float, z_dim: int, conditional: bool, loss: str, d_steps: int
) -> GAN:
    """Radford, Metz, Chintala: Unsupervised representation learning with deep convolutional generative adversarial
    networks, ICLR 2016, in StudioGAN's form for 32x32."""
    classes = num_classes if conditional else 0
    g = convnet.Generator(z_dim, in_channels, classes, width, orthogonal, orthogonal, bn_eps=1e-4)
    d = convnet.Discriminator(
        in_channels, classes, width, orthogonal, orthogonal, torch.relu, batch_norm=True, pool=True
    )
    return _game(g, d, loss, d_steps, z_dim, num_classes)


def rlgan(
    num_classes: int, in_channels: int, width: float, z_dim: int, conditional: bool, loss: str, d_steps: int
) -> GAN:
    """Jolicoeur-Martineau: The relativistic discriminator, ICLR 2019; its stable CIFAR-10 setup: the standard CNN with
    spectral norm in the discriminator's convolutions."""
    classes = num_classes if conditional else 0
    g = convnet.Generator(z_dim, in_channels, classes, width, normal, normal, bn_eps=1e-5)
    d = convnet.Discriminator(
        in_channels, classes, width, spectral(normal), normal, partial(F.leaky_relu, negative_slope=0.1),
        batch_norm=False, pool=False,
    )  # fmt: skip
    return _game(g, d, loss, d_steps, z_dim, num_classes)


def sngan(
    num_classes: int, in_channels: int, width: float, z_dim: int, conditional: bool, loss: str, d_steps: int
) -> GAN:
    """Miyato, Kataoka, Koyama, Yoshida: Spectral normalization for generative adversarial networks, ICLR 2018."""
    classes = num_classes if conditional else 0
    g = resnet.Generator(z_dim, in_channels, classes, width, orthogonal, orthogonal, attention=False)
    d = resnet.Discriminator(in_channels, classes, width, spectral(orthogonal), attention=False)
    return _game(g, d, loss, d_steps, z_dim, num_classes)


def sagan(
    num_classes: int, in_channels: int, width: float, z_dim: int, conditional: bool, loss: str, d_steps: int
) -> GAN:
    """Zhang, Goodfellow, Metaxas, Odena: Self-attention generative adversarial networks, ICML 2019."""
    classes = num_classes if conditional else 0
    make = spectral(orthogonal)
    g = resnet.Generator(z_dim, in_channels, classes, width, make, orthogonal, attention=True)
    d = resnet.Discriminator(in_channels, classes, width, make, attention=True)
    return _game(g, d, loss, d_steps, z_dim, num_classes)
