"""ACProp (NeurIPS 2021), executable: `from acprop import ACProp`.

Needs torch alone. Names load on first use, so that a command line answers `--help` without waiting for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acprop.optim import (
        ADOPT,
        ACProp,
        AdaBelief,
        AdaShift,
        AvaGrad,
        LaProp,
        create_optimizer,
        param_groups_weight_decay,
    )

__version__ = "0.1.0"
__all__ = [
    "ADOPT", "ACProp", "AdaBelief", "AdaShift", "AvaGrad", "LaProp", "create_optimizer", "param_groups_weight_decay",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("acprop.optim"), name)
    raise AttributeError(f"module 'acprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
