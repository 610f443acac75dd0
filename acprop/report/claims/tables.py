"""The paper's tables in the paper's layout: a row a net or language pair, a column an optimizer, ours at the paper's
scale beside the published number. A cell without runs at that scale says so; what ran in small is in tables of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from acprop.report import results_root
from acprop.report.claims.ledger import PARTS, Row
from acprop.report.claims.published import BEST
from acprop.report.style import look, order
from acprop.report.tables import write_table

TABLES = ("fig6", "table2", "table3", "table4", "table5")


def write_tables(rows: Sequence[Row]) -> list[Path]:
    """Writes `<part>_paper` for Fig 6's numbers and Tables 2 to 5; returns the paths without suffix."""
    return [
        _write(part, [row for row in rows if row.part == part and row.published_value is not None]) for part in TABLES
    ]


def _write(part: str, rows: Sequence[Row]) -> Path:
    by_cell = {tuple(row.id.split("/")[1:]): row for row in rows}
    lines = list(dict.fromkeys(line for line, _ in by_cell))
    optimizers = sorted(
        {optimizer for _, optimizer in by_cell}, key=lambda name: (order(name.removesuffix(BEST)), name)
    )
    names = {
        line: next(row for (own, _), row in by_cell.items() if own == line).claim.partition(",")[0] for line in lines
    }
    header = [
        "",
        *(look(name.removesuffix(BEST)).label + " (best in literature)" * name.endswith(BEST) for name in optimizers),
    ]
    table = [[names[line], *(_text(by_cell.get((line, optimizer))) for optimizer in optimizers)] for line in lines]
    long: list[dict[str, object]] = [
        {
            "row": row.id.split("/")[1], "optimizer": row.id.split("/")[2], "paper": row.published_value,
            "paper_std": row.published_std, "run_by": row.run_by, "n": row.n if row.ours else 0,
            **{name: getattr(row, name) if row.ours else "" for name in ("value", "std", "low", "high")},
            "verdict": row.verdict,
        }
        for row in rows
    ]  # fmt: skip
    metric = rows[0].claim.rpartition(": ")[2] if part != "table5" else "test error (%), BLEU, best FID"
    caption = (
        f"{PARTS[part]}: {metric}. Ours at the paper's scale and on its data, mean ± std (n) and 95 % interval over "
        "seeds, beside the paper's; †: quoted by the paper from earlier work. What ran in small has tables of its own."
    )
    path = results_root() / "tables" / f"{part}_paper"
    write_table(path, caption, header, table, long)
    return path


def _text(row: Row | None) -> str:
    if row is None:
        return "–"
    assert row.published_value is not None
    std = "" if row.published_std is None else f" ± {row.published_std:g}"
    return f"{row.ours or 'not run'} / paper {row.published_value:.2f}{std}{'†' * (row.run_by == 'quoted')}"
