"""Learning-rate schedules over a run of `epochs` epochs, stepped once after each. Positions are fractions of the
run, so that a shorter scale keeps the schedule's meaning."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR


def step(optimizer: Optimizer, epochs: int, at: Sequence[float], gamma: float) -> MultiStepLR:
    """lr x `gamma` before epoch `a * epochs` (0-based) for every `a` in `at`."""
    return MultiStepLR(optimizer, milestones=[int(fraction * epochs) for fraction in at], gamma=gamma)


def cosine(optimizer: Optimizer, epochs: int) -> CosineAnnealingLR:
    """From the initial lr to 0 along half a cosine."""
    return CosineAnnealingLR(optimizer, T_max=epochs)
