"""The paper's numbers of GANs, Table 4 and a part of Table 5."""

from collections.abc import Iterator

from acprop.report.claims.published import Cell, cell, of_table5, rows
from acprop.report.claims.rules import Metric
from acprop.report.stats import POSITIVE
from acprop.runs.record import Record

METRICS = {
    "fid": Metric("best FID", False, POSITIVE, lambda v: max(1.0, 0.05 * v), lambda r: r.summary["best"]["value"], 0.05)
}


def cells() -> Iterator[Cell]:
    for r in rows("table4_gan"):
        yield cell("table4", r["model"], "gan", "cifar10", r["model"], "fid", r["fid"], r, f"cifar10-{r['model']}")
    yield from of_table5("gan", "fid", lambda r: f"{r['dataset']}-{r['model']}")


def measured_otherwise(record: Record) -> str:
    """By what, if not by the paper's measure: such a run is never set against a published number."""
    return "" if record.config["fid_network"] == "inception" else "feature FID"
