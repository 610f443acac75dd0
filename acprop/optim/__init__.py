"""The optimizers: torch alone, nothing of the suite."""

from acprop.optim.acprop import ACProp
from acprop.optim.adabelief import AdaBelief
from acprop.optim.adashift import AdaShift
from acprop.optim.adopt import ADOPT
from acprop.optim.avagrad import AvaGrad
from acprop.optim.factory import create_optimizer, param_groups_weight_decay
from acprop.optim.laprop import LaProp

__all__ = [
    "ADOPT", "ACProp", "AdaBelief", "AdaShift", "AvaGrad", "LaProp", "create_optimizer", "param_groups_weight_decay",
]  # fmt: skip
