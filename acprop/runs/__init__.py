"""The run harness: a config in, one record out. See run.py for the picture.

`Run` loads on first use: it needs torch, and a command line must answer `--help` without waiting for that.
"""

from typing import TYPE_CHECKING, Any

from acprop.runs.errors import Diverged, UsageError, require, require_one_of, whole_data
from acprop.runs.identity import data_root, runs_root
from acprop.runs.record import Record, load_records, write_atomically

if TYPE_CHECKING:
    from acprop.runs.run import Run

__all__ = [
    "Diverged",
    "Record",
    "Run",
    "UsageError",
    "data_root",
    "load_records",
    "require",
    "require_one_of",
    "runs_root",
    "whole_data",
    "write_atomically",
]


def __getattr__(name: str) -> Any:
    if name == "Run":
        from acprop.runs.run import Run

        return Run
    raise AttributeError(f"module 'acprop.runs' has no attribute {name!r}")
