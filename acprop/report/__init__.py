"""Tables and figures as pure functions of records and published numbers."""

import os
from pathlib import Path


def results_root() -> Path:
    """Where tables and figures go: `$ACPROP_RESULTS`, default `results/`."""
    return Path(os.environ.get("ACPROP_RESULTS") or "results")


PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "paper"
