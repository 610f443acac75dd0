"""fairseq's checkpoints: what torch must trust to load them with `weights_only=True`, where they are, and their
average."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acprop.runs import checkpoint

# The options of the net, and the numpy numbers among the training statistics.
SAFE_GLOBALS: list[Any] = [
    Namespace, np.ndarray, np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType,
    np._core.multiarray._reconstruct, np._core.multiarray.scalar,  # type: ignore[attr-defined]
]  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals(SAFE_GLOBALS):
        return checkpoint.load(path)


def of_epoch(folder: Path, epoch: int) -> Path:
    """fairseq's checkpoint after `epoch` epochs."""
    return folder / f"checkpoint{epoch}.pt"


def average(paths: Sequence[Path], result: Path) -> None:
    """Writes the mean of the parameters of `paths` as a checkpoint that fairseq-generate reads."""
    states = [load(path) for path in paths]
    parameters = {
        name: torch.stack([state["model"][name].double() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[-1]["model"].items()
    }
    checkpoint.save(result, {**states[-1], "model": parameters, "last_optimizer_state": None})
