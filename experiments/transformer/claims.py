"""The paper's numbers of translation, Table 3 and a part of Table 5."""

from collections.abc import Iterator
from dataclasses import replace

from acprop.report.claims.published import Cell, cell, of_table5, rows
from acprop.report.claims.rules import Metric
from acprop.report.stats import PERCENT

METRICS = {"bleu": Metric("BLEU", True, PERCENT, lambda v: 0.3, lambda r: r.summary["final"]["test/bleu"], 0.05)}
MODEL = "transformer_iwslt"


def cells() -> Iterator[Cell]:
    for r in rows("table3_transformer"):
        data = r["dataset"]
        target = f"{data}-transformer"
        yield cell("table3", data, "transformer", data, MODEL, "bleu", r["bleu"], r, target, languages(data))
    for one in of_table5("transformer", "bleu", lambda r: f"{r['dataset']}-transformer"):
        yield replace(one, where=languages(one.dataset))


def languages(dataset: str) -> str:
    """Of a data set of the paper, as its table heads the column: ted_ja_en is JA-EN."""
    return "-".join(dataset.split("_")[-2:]).upper()
