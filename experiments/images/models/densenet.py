"""DenseNet-121 for 32x32, growth 32: 3x3 stem of stride 1; 6,956,298 parameters for 10 classes at width 1. And
DenseNet-40, the smallest of the paper's nets for CIFAR with bottlenecks: three blocks of six, growth 12.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, CVPR 2017 (DenseNet-BC).
"""

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        y = self.conv2(torch.relu(self.bn2(y)))
        return torch.cat([y, x], 1)


def densenet121(num_classes: int, in_channels: int, width: float) -> nn.Sequential:
    """(N, in_channels, 32, 32) -> (N, num_classes) logits. `width` multiplies the growth rate of 32."""
    return _densenet(num_classes, in_channels, 32 * width, (6, 12, 24, 16))


def densenet40(num_classes: int, in_channels: int, width: float) -> nn.Sequential:
    """(N, in_channels, 32, 32) -> (N, num_classes) logits. `width` multiplies the growth rate of 12."""
    return _densenet(num_classes, in_channels, 12 * width, (6, 6, 6))


def _densenet(num_classes: int, in_channels: int, rate: float, blocks: tuple[int, ...]) -> nn.Sequential:
    growth = max(1, round(rate))
    channels = 2 * growth
    layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)]
    for number, count in enumerate(blocks):
        for _ in range(count):
            layers.append(Bottleneck(channels, growth))
            channels += growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        if number < len(blocks) - 1:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
