"""Cells into rows: what a table says of each group of runs, which of them is apart from the rest, and the same numbers
for a CSV file."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from acprop.report.artefacts import Cell
from acprop.report.records import Cells, cell_text, counts, row_label, summary_fields
from acprop.report.stats import UNBOUNDED, Summary, separate_winner, summarize
from acprop.report.style import model_name
from acprop.runs.record import Record


class Measure(NamedTuple):
    """A number of a finished run.

    name: in the table's header; key: in the CSV file; of: its value, None if the run has none; largest: whether larger
    is better, None if nothing is; digits: behind the point; bounds: its range, which no interval leaves.
    """

    name: str
    key: str
    of: Callable[[Record], float | None]
    largest: bool | None = True
    digits: int = 2
    bounds: tuple[float, float] = UNBOUNDED


class Reference(NamedTuple):
    """A published number: as the table's cell shows it beside ours, and as the CSV file has it."""

    text: str
    fields: Mapping[str, object]


References = Callable[[str, str, Measure], Reference | None]  # of model, row label and measure


def summary(records: Sequence[Record], measure: Measure) -> Summary | None:
    """Of the runs that ended well."""
    values = [measure.of(record) for record in records if record.status == "done"]
    return summarize([value for value in values if value is not None], measure.bounds)


def column(groups: Sequence[Sequence[Record]], measure: Measure, beside: Sequence[str] = ()) -> list[Cell]:
    """A cell for each group of runs, bold the one whose interval is apart from all others. `beside`: said behind."""
    summaries = [summary(group, measure) for group in groups]
    winner = None if measure.largest is None else separate_winner(summaries, measure.largest)
    cells = []
    for index, group in enumerate(groups):
        text = cell_text(list(group), summaries[index], measure.digits) + (beside[index] if beside else "")
        cells.append(Cell(text, index == winner, group))
    return cells


def fields(records: Sequence[Record], measures: Sequence[Measure]) -> dict[str, object]:
    """For a CSV file: the seeds, how many ended how, and every measure's summary."""
    row = counts(records)
    for measure in measures:
        row |= summary_fields(measure.key, summary(records, measure))
    return row


def wide(
    cells: Cells, models: Sequence[str], labels: Sequence[str], measures: Sequence[Measure],
    lead: Mapping[str, object], references: References | None = None, name: Callable[[str], str] = model_name,
    note: Callable[[Sequence[Record], Measure], str] = lambda records, measure: "", unseen: Sequence[Measure] = (),
) -> tuple[list[str], list[list[Cell]], list[dict[str, object]]]:  # fmt: skip
    """A table with a row an optimizer and, for each model, a column a measure.

    Args:
        lead: the first fields of every row of the CSV file.
        references: published numbers, shown beside ours.
        name: how a model is called in the header.
        note: what else a cell says of its runs.
        unseen: measures that the CSV file alone has.

    Returns:
        header, rows, and the rows of the CSV file.
    """
    header, columns = ["optimizer"], []
    for model in models:
        for measure in measures:
            groups = [cells.get((model, label), []) for label in labels]
            beside = []
            for label, group in zip(labels, groups, strict=True):
                reference = references(model, label, measure) if references else None
                beside.append(note(group, measure) + (f" / paper {reference.text}" if reference else ""))
            header.append(f"{name(model)} {measure.name}".strip())
            columns.append(column(groups, measure, beside))
    rows = [[Cell(row_label(label)), *(cell[index] for cell in columns)] for index, label in enumerate(labels)]
    long = []
    for model in models:
        for label in labels:
            row = {
                **lead,
                "model": model,
                "optimizer": label,
                **fields(cells.get((model, label), []), [*measures, *unseen]),
            }
            for measure in measures if references else ():
                row |= (references(model, label, measure) or Reference("", {})).fields  # type: ignore[misc]
            long.append(row)
    keys = dict.fromkeys(key for row in long for key in row)
    return header, rows, [{key: row.get(key, "") for key in keys} for row in long]
