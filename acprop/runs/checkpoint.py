"""Checkpoints: all that a run needs to go on as if nothing had happened, loadable with `weights_only=True`."""

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acprop.runs.errors import UsageError
from acprop.runs.record import write_atomically


def rng_state() -> dict[str, Any]:
    """The state of every global generator, as tensors and plain numbers."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    # A run may move to a machine with other GPUs, or none: what is drawn on them is then not repeatable anyway.
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def save(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getbuffer())  # type: ignore[arg-type]


def load(path: Path, remedy: str = "force=true starts the run again") -> dict[str, Any]:
    """
    Raises:
        UsageError: the file is damaged, or none of torch's; `remedy` says what to do.
        OSError: it cannot be opened, which says nothing about what it holds.
    """
    with path.open("rb") as file:
        try:
            # To the CPU first: `load_state_dict` moves each tensor to where its owner lives, wherever it came from.
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # of damaged bytes, the unpickler may raise anything
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"{path}: damaged ({reason}); {remedy}") from error
