"""The paper's networks: torchvision's ResNet-18 for ImageNet, the others for 32x32. Every constructor takes
`num_classes` and `in_channels` from the data set and (but for ResNet-18) a `width` that multiplies all channel counts
(1.0 is the paper's)."""

from experiments.models.densenet import densenet121
from experiments.models.imagenet import resnet18
from experiments.models.resnet import resnet34
from experiments.models.vgg import vgg11
from experiments.models.wrn import wrn28_10

__all__ = ["densenet121", "resnet18", "resnet34", "vgg11", "wrn28_10"]
