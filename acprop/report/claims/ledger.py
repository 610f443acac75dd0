"""The claim ledger: every published cell and every statement of the paper as one row with its verdict, from records."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from acprop.report import PUBLISHED, tasks
from acprop.report.artefacts import PARTS
from acprop.report.claims import families, rules, statements, words
from acprop.report.claims.evidence import Evidence, folders
from acprop.report.claims.published import cells, metric_of
from acprop.report.claims.row import Row
from acprop.report.claims.statements import Outcome
from acprop.report.style import dataset_name, look, model_name
from acprop.runs.record import Record, write_atomically


def ledger(records: Iterable[Record]) -> list[Row]:
    """Every row, part by part."""
    evidence = Evidence(records)
    rows = [*_computed_rows(evidence), *_cell_rows(evidence), *_statement_rows(evidence)]
    assert len({row.id for row in rows}) == len(rows)
    return sorted(rows, key=lambda row: list(PARTS).index(row.part))  # stable: within a part as they come


def _row(outcome: Outcome, **fields: Any) -> Row:
    told = dict(vars(outcome))
    records, mutants = told.pop("records"), told.pop("mutants")
    published = {"published_value": None, "published_std": None, "margin": None, "run_by": "authors", **fields}
    return Row(
        **{"kind": rules.TESTED, "recalled": "recalled" in fields["source"], **told, **published},
        mutants=None if mutants is None else tuple(mutants), runs=folders(records),
    )  # fmt: skip


def _computed_rows(evidence: Evidence) -> list[Row]:
    """Those that a task makes itself, of published pictures."""
    found = [module.computed_rows(evidence) for module in tasks.claims().values() if hasattr(module, "computed_rows")]
    return [_row(outcome, **fields) for rows in found for outcome, fields in rows]


def _cell_rows(evidence: Evidence) -> list[Row]:
    rows = []
    for cell in cells():
        metric = metric_of(cell.metric)
        best = " (best in literature)" if cell.own != cell.optimizer else ""
        net = f"{model_name(cell.model)} on {dataset_name(cell.dataset)}"
        where = cell.where or net
        std = "" if cell.std is None else f" ± {cell.std:g}"
        std += ", which is no spread of training seeds" if statements.odd_spread(cell) else ""
        rows.append(
            _row(
                statements.value(evidence, cell),
                id=cell.id, part=cell.part, claim=f"{where}, {look(cell.own).label}{best}: {metric.label}",
                published=f"{cell.value:.2f}{std}" + (f" ({cell.beside})" if cell.beside else ""),
                published_value=cell.value, published_std=cell.std, margin=metric.margin(cell.value),
                source=cell.source, run_by=cell.run_by, command=cell.command,
            )
        )  # fmt: skip
    return rows


def _statement_rows(evidence: Evidence) -> list[Row]:
    rows = []
    for name, entry in yaml.safe_load((PUBLISHED / "statements.yaml").read_text()).items():
        part, test = name.split("/")[0], entry["test"]
        outcome = next(
            found
            for module in (statements, families, *tasks.claims().values())
            if (found := getattr(module, test, None))
        )
        result: Outcome = outcome(evidence, part, **entry.get("with", {}))
        rows.append(
            _row(result, id=name, part=part, claim=entry["claim"], source=entry["source"], command=entry["command"],
                 published=result.published or "in words", kind=entry.get("kind", rules.TESTED))
        )  # fmt: skip
    return rows


# -- files -----------------------------------------------------------------------------------------------------------


def write(rows: Sequence[Row], root: Path) -> list[Path]:
    """claims.md and claims.csv under `root`; returns their paths."""
    path = root / "claims"
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        mutants = "" if row.mutants is None else " ".join(row.mutants) or "none"
        writer.writerow({**vars(row), "mutants": mutants, "runs": " ".join(row.runs)})
    write_atomically(path.with_suffix(".csv"), buffer.getvalue())
    sections = [_section(part, [row for row in rows if row.part == part]) for part in PARTS]
    write_atomically(path.with_suffix(".md"), "\n\n".join([words.summary(rows), *sections]) + "\n")
    return [path.with_suffix(".md"), path.with_suffix(".csv")]


def _section(part: str, rows: Sequence[Row]) -> str:
    header = ("id", "claim", "published", "ours", "in small, not comparable", "verdict", "kind of test", "tested by")
    lines = [f"## {PARTS[part]}", "", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row in rows:
        published = f"{row.published}; {row.run_by}" if row.published_value is not None else row.published
        cells = (
            f'<a id="{words.anchor(row)}"></a>{row.id}', row.claim + " [recalled]" * row.recalled, published,
            row.ours + words.alike(row), row.small, f"**{row.verdict}**", row.kind, f"`{row.command}`",
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines)
