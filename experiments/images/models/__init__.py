"""The paper's networks: torchvision's ResNet-18 for ImageNet, the others for 32x32. Every constructor takes
`num_classes` and `in_channels` from the data set and (but for ResNet-18) a `width` that multiplies all channel counts
(1.0 is the paper's)."""

from experiments.images.models.densenet import densenet40, densenet121
from experiments.images.models.imagenet import resnet18
from experiments.images.models.resnet import resnet34
from experiments.images.models.vgg import vgg11
from experiments.images.models.wrn import wrn28_10

__all__ = ["densenet40", "densenet121", "resnet18", "resnet34", "vgg11", "wrn28_10"]
