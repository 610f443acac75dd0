"""Networks that tests name as `model._target_`."""

from torch import nn


def plain(num_classes: int, in_channels: int, width: float) -> nn.Module:
    """Without batch norm or dropout: what n processes compute is then what one does."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 7 * 7, num_classes)
    )  # fmt: skip
