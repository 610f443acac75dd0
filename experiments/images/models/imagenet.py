"""ResNet-18 of He et al. (CVPR 2016) as torchvision has it: 7x7 stem of stride 2, max-pool; 11,689,512 parameters with
1,000 classes."""

from torch import nn


def resnet18(num_classes: int, in_channels: int) -> nn.Module:
    """(n, in_channels, H, W) -> (n, num_classes); made for 224x224, works from 32x32 on."""
    from torchvision import models  # a second at the start of every command, for this net alone

    net = models.resnet18(num_classes=num_classes)
    if in_channels != 3:
        net.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    return net
