"""ACProp (NeurIPS 2021), executable: `from acprop import ACProp`.

Needs torch alone. Names load on first use, so that a command line answers `--help` without waiting for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acprop.optim import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name[:1].isupper():
        optim = import_module("acprop.optim")
        if name in optim.__all__:
            return getattr(optim, name)
    raise AttributeError(f"module 'acprop' has no attribute {name!r}")
