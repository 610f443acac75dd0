"""Artefacts as files. A table is three: Markdown to read, CSV to compute with, LaTeX to paste (none of sentences in
letters that its fonts lack); a figure is two, PNG and PDF."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from acprop.report import figures
from acprop.report.artefacts import Artefact, Cell
from acprop.runs.record import write_atomically

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "×": r"$\times$", "†": r"$\dagger$", "→": r"$\to$", "∞": r"$\infty$", "√": r"$\surd$",
    "−": "$-$", "–": "--", "β": r"$\beta$", "≥": r"$\ge$", "≤": r"$\le$",
}  # fmt: skip


def write(artefact: Artefact, root: Path) -> list[Path]:
    """Writes the files of an artefact under `root`; returns their paths."""
    if artefact.draw:
        path = root / "figures" / artefact.name
        figures.save(path, artefact.draw)
        return [path.with_name(f"{path.name}.{suffix}") for suffix in ("png", "pdf")]
    path = root / "tables" / artefact.name
    texts = {"md": markdown(artefact), "csv": text_of(artefact.long)}
    if has_latex(artefact):
        texts["tex"] = latex(artefact)
    for suffix, text in texts.items():
        write_atomically(path.with_name(f"{path.name}.{suffix}"), text)
    return [path.with_name(f"{path.name}.{suffix}") for suffix in texts]


def markdown(artefact: Artefact) -> str:
    lines = [markdown_text(artefact.caption), "", markdown_row(artefact.header), "|" + "---|" * len(artefact.header)]
    lines += [markdown_row(_markdown_cell(cell) for cell in row) for row in artefact.rows]
    return "\n".join(lines) + "\n"


def markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(markdown_text(cell).replace("|", r"\|") for cell in cells) + " |"


def markdown_text(text: str) -> str:
    """Without what Markdown would take for HTML or for the end of a line."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text).replace("\n", " ")


def _markdown_cell(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.bold else cell.text


def text_of(rows: Sequence[dict[str, object]]) -> str:
    """Rows of a CSV file; the columns of the first."""
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()


def latex(artefact: Artefact) -> str:
    """A table environment, no wider than the text; it needs the packages booktabs and graphicx."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(artefact.caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * len(artefact.header)}}}",
        r"\toprule",
        " & ".join(map(latex_text, artefact.header)) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(map(_latex_cell, row)) + r" \\" for row in artefact.rows]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def has_latex(artefact: Artefact) -> bool:
    """Whether pdflatex has every letter of it: Latin ones, and those of _LATEX."""
    texts = [artefact.caption, *artefact.header, *(cell.text for row in artefact.rows for cell in row)]
    return all(ord(letter) < 0x180 or letter in _LATEX for text in texts for letter in text)


def _latex_cell(cell: Cell) -> str:
    return rf"\textbf{{{latex_text(cell.text)}}}" if cell.bold else latex_text(cell.text)


def latex_text(text: str) -> str:
    """Every character that LaTeX would take for a command, and those that its fonts lack."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
