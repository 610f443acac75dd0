"""The optimizers: torch alone, nothing of the suite."""

from acprop.optim.acprop import ACProp
from acprop.optim.adabelief import AdaBelief
from acprop.optim.adashift import AdaShift

__all__ = ["ACProp", "AdaBelief", "AdaShift"]
