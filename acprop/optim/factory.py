"""What is done around an optimizer: groups without decay, an optimizer by its name."""

from collections.abc import Container
from typing import Any

from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from acprop.optim.acprop import ACProp
from acprop.optim.adabelief import AdaBelief
from acprop.optim.adashift import AdaShift
from acprop.optim.adopt import ADOPT
from acprop.optim.avagrad import AvaGrad
from acprop.optim.base import AdaptiveOptimizer
from acprop.optim.laprop import LaProp

OPTIMIZERS: dict[str, type[AdaptiveOptimizer]] = {
    cls.__name__.lower(): cls for cls in (ACProp, AdaBelief, AdaShift, ADOPT, AvaGrad, LaProp)
}


def param_groups_weight_decay(
    model: nn.Module, weight_decay: float, no_weight_decay: Container[str] = ()
) -> list[dict[str, Any]]:
    """Two parameter groups: matrices and kernels with decay; biases, norms and all else of one dimension without.

    Args:
        model: whose parameters that require a gradient are taken, a shared one once.
        weight_decay: strength of the decay of the first group; the second has 0.
        no_weight_decay: names of further parameters without decay, as `model.named_parameters()` has them.

    An empty group is left out.
    """
    decayed: list[tuple[str, Tensor]] = []
    others: list[tuple[str, Tensor]] = []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (others if p.ndim <= 1 or name in no_weight_decay else decayed).append((name, p))
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def create_optimizer(name: str, params: ParamsT, **options: Any) -> AdaptiveOptimizer:
    """The optimizer of this package with that name, whatever its case, over `params` with `options`.

    Raises:
        ValueError: for a name that is none.
    """
    if name.lower() not in OPTIMIZERS:
        raise ValueError(f"create_optimizer: name={name!r} is not possible, it must be one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name.lower()](params, **options)
