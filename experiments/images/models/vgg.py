"""VGG-11 as the authors run it on CIFAR: no batch norm, head 512-512-10 with dropout; 9,750,922 parameters at width 1.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, configuration A.
"""

import math

from torch import nn

LAYERS = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")


def vgg11(num_classes: int, in_channels: int, width: float, batch_norm: bool = False) -> nn.Sequential:
    """(N, in_channels, 32, 32) -> (N, num_classes) logits. `batch_norm`: as torchvision's vgg11_bn has it."""
    layers: list[nn.Module] = []
    channels = in_channels
    for layer in LAYERS:
        if layer == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        out = max(1, round(int(layer) * width))
        conv = nn.Conv2d(channels, out, 3, padding=1)
        # the authors' initialisation; without it a net this deep and without batch norm does not start to learn
        nn.init.normal_(conv.weight, std=math.sqrt(2 / (9 * out)))
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        layers += [conv, *([nn.BatchNorm2d(out)] if batch_norm else []), nn.ReLU(inplace=True)]
        channels = out
    head = [
        nn.Flatten(),
        nn.Dropout(), nn.Linear(channels, channels), nn.ReLU(inplace=True),
        nn.Dropout(), nn.Linear(channels, channels), nn.ReLU(inplace=True),
        nn.Linear(channels, num_classes),
    ]  # fmt: skip
    return nn.Sequential(*layers, *head)
