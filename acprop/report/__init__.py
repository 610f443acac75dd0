"""From records to tables, figures, ledger and page: pure functions of records and published numbers. Knows no task;
what a task shows, its own `experiments/<task>/report.py` says."""

import os
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results"  # committed: the paper's numbers, records, what both give
PUBLISHED = RESULTS / "paper"


def results_root() -> Path:
    """Where a user's report goes: `$ACPROP_RESULTS`, default `report/`, which git ignores."""
    return Path(os.environ.get("ACPROP_RESULTS") or "report")


def records_root() -> Path:
    """Where the published records lie: `$ACPROP_RECORDS`, default results/records."""
    return Path(os.environ.get("ACPROP_RECORDS") or RESULTS / "records")
