"""Wide ResNet 28-10 for 32x32, without dropout; 36,479,194 parameters for 10 classes at width 1.

Zagoruyko, Komodakis: Wide Residual Networks, BMVC 2016.
"""

import torch
from torch import Tensor, nn

from experiments.images.models.convolutions import Pointwise


class WideBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.shortcut = Pointwise(channels, out, stride) if channels != out or stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(x))
        residual = self.conv2(torch.relu(self.bn2(self.conv1(y))))
        return residual + (x if self.shortcut is None else self.shortcut(y))


def wrn28_10(num_classes: int, in_channels: int, width: float) -> nn.Sequential:
    """(N, in_channels, 32, 32) -> (N, num_classes) logits."""
    channels = 16
    layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)]
    for stage in range(3):
        out = max(1, round(160 * width * 2**stage))
        for block in range(4):
            layers.append(WideBlock(channels, out, stride=2 if stage and block == 0 else 1))
            channels = out
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
