"""One table, three files: Markdown to read, CSV to compute with, LaTeX (booktabs) to paste."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from acprop.runs.record import write_atomically

_LATEX = {"±": r"$\pm$", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "–": "--", "×": r"$\times$", "†": r"$\dagger$"}


def write_table(
    path: Path, caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], long: Sequence[dict[str, object]]
) -> None:
    """Writes `path`.md, .csv and .tex.

    Args:
        path: without suffix.
        caption: says scale, data, n.
        header, rows: the table as people read it; a cell between `**` is bold.
        long: the same numbers at full precision for the CSV, a dict a row.
    """
    lines = [caption, "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    write_atomically(path.with_name(path.name + ".md"), "\n".join(lines) + "\n")

    buffer = io.StringIO()
    if long:
        writer = csv.DictWriter(buffer, fieldnames=list(long[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(long)
    write_atomically(path.with_name(path.name + ".csv"), buffer.getvalue())

    tex = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(caption)}}}",
        rf"\begin{{tabular}}{{{'l' * len(header)}}}",
    ]
    tex += [r"\toprule", " & ".join(map(_latex, header)) + r" \\", r"\midrule"]
    tex += [" & ".join(map(_latex, row)) + r" \\" for row in rows]
    tex += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    write_atomically(path.with_name(path.name + ".tex"), "\n".join(tex) + "\n")


def _latex(text: str) -> str:
    if text.startswith("**") and text.endswith("**") and len(text) > 4:
        return rf"\textbf{{{_latex(text[2:-2])}}}"
    for plain, escaped in _LATEX.items():
        text = text.replace(plain, escaped)
    return text
