"""The paper's tables in the paper's layout: a row a net or language pair, a column an optimizer, ours at the paper's
scale beside the published number. A cell without runs at that scale says so; what ran in small is in tables of its own.
"""

from collections.abc import Iterable, Sequence

from acprop.report.artefacts import PARTS, Artefact, Cell, table
from acprop.report.claims.published import BEST
from acprop.report.claims.row import Row
from acprop.report.style import look, order
from acprop.runs.record import Record

TABLES = ("fig6", "table2", "table3", "table4", "table5")


def paper_tables(rows: Sequence[Row], records: Iterable[Record]) -> list[Artefact]:
    """`<part>_paper` for Fig 6's numbers and Tables 2 to 5. `records`: those that the ledger was made from."""
    by_folder = {record.folder: record for record in records}
    return [
        _of_part(part, [row for row in rows if row.part == part and row.published_value is not None], by_folder)
        for part in TABLES
    ]


def _of_part(part: str, rows: Sequence[Row], by_folder: dict[str, Record]) -> Artefact:
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
    body = [
        [Cell(names[line]), *(_cell(by_cell.get((line, optimizer)), by_folder) for optimizer in optimizers)]
        for line in lines
    ]
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
    shown = [record for row in body for cell in row for record in cell.records]
    return table(f"{part}_paper", part, caption, shown, header, body, long)


def _cell(row: Row | None, by_folder: dict[str, Record]) -> Cell:
    if row is None:
        return Cell("–")
    assert row.published_value is not None
    std = "" if row.published_std is None else f" ± {row.published_std:g}"
    came_out = row.ours.partition(";")[0]  # how it was judged is in the ledger
    text = f"{came_out or 'not run'} / paper {row.published_value:.2f}{std}{'†' * (row.run_by == 'quoted')}"
    ours = [record for folder in row.runs if (record := by_folder[folder]).summary["scale"] == row.scale]
    return Cell(text, records=ours if row.ours else ())
