"""ResNet-34 for 32x32: 3x3 stem of stride 1, no max-pool; 21,282,122 parameters for 10 classes at width 1.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016.
"""

import torch
from torch import Tensor, nn

from experiments.images.models.convolutions import Pointwise


class BasicBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(Pointwise(channels, out, stride), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet34(num_classes: int, in_channels: int, width: float) -> nn.Sequential:
    """(N, in_channels, 32, 32) -> (N, num_classes) logits."""
    channels = max(1, round(64 * width))
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
    for stage, blocks in enumerate((3, 4, 6, 3)):
        out = max(1, round(64 * width * 2**stage))
        for block in range(blocks):
            layers.append(BasicBlock(channels, out, stride=2 if stage and block == 0 else 1))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
