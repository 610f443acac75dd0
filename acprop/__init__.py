"""ACProp (NeurIPS 2021), executable: `from acprop import ACProp`.

Needs torch alone. Names load on first use, so that a command line answers `--help` without waiting for torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acprop.optim import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        from acprop import optim

        if name in optim.__all__:
            return getattr(optim, name)
    raise AttributeError(f"module 'acprop' has no attribute {name!r}")
