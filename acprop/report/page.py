"""results/report.html: one page that opens from disk. Verdicts on top; for each part of the paper its claims, published
beside ours, its figures and tables with the runs behind them; every run with config, curves and environment.

A pure function of the records: the same records, the same bytes.
"""

import base64
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from acprop.report import page_runs, results_root
from acprop.report.claims import rules
from acprop.report.claims.ledger import PARTS, Row
from acprop.report.page_runs import Runs
from acprop.runs.record import write_atomically

TEMPLATE = "page.html.j2"
IMAGES, IMAGE = 2_800_000, 120_000  # bytes that all pictures, and one, may take, before base64
WIDTH = 1100  # pixels

# Which part of the paper a file of results/ belongs to, by the beginning of its name; the rest goes to the end.
BELONGS = {
    "fig1": "fig1", "theory_maps": "fig1", "fig2": "fig2", "fig3": "fig3", "fig4": "fig4", "rosenbrock": "rosenbrock",
    "rate": "theorem", "theory_cost": "theorem", "fig5": "fig5", "fig6": "fig6", "tuning": "fig6", "fig7": "fig7",
    "table2": "table2", "table3": "table3", "table4": "table4", "table5": "table5", "fig9": "fig9", "rl_": "fig9",
}  # fmt: skip
OTHER = "other"
MARKS = dict(zip(rules.VERDICTS, "✓✗?◔–", strict=True))


class Artefact(NamedTuple):
    """A table (header and rows of text, a bold cell marked) or a picture (data URI, its size on the page)."""

    name: str
    caption: str
    runs: list[page_runs.Group]
    header: Sequence[str] = ()
    rows: Sequence[Sequence[tuple[str, bool]]] = ()
    uri: str = ""
    width: int = 0
    height: int = 0


def write(rows: Sequence[Row], artefacts: Sequence[Path]) -> list[Path]:
    """Writes the page; returns its path.

    Args:
        rows: the ledger.
        artefacts: paths without suffix of the tables and figures that the same records gave.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    runs = Runs()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    figures = [path for path in artefacts if path.with_name(path.name + ".png").exists()]
    limit = min(IMAGE, IMAGES // max(1, len(figures)))
    by_part: dict[str, dict[str, list[Any]]] = {
        part: {"claims": [], "figures": [], "tables": []} for part in [*PARTS, OTHER]
    }
    for row in rows:
        by_part[row.part]["claims"].append((row, runs.groups(row.runs)))
    for path in sorted(artefacts):
        part = next((part for start, part in BELONGS.items() if path.name.startswith(start)), OTHER)
        behind = runs.groups(runs.behind(path.name) or _behind_the_papers(path.name, rows, runs))
        if path in figures:
            by_part[part]["figures"].append(_figure(path, behind, limit))
        else:
            by_part[part]["tables"].append(_table(path, behind))
    titles = {**PARTS, OTHER: "Further tables and figures"}
    parts = {part: content for part, content in by_part.items() if any(content.values())}
    text = environment.get_template(TEMPLATE).render(
        rows=rows, total=Counter(row.verdict for row in rows), verdicts=rules.VERDICTS, marks=MARKS, titles=titles,
        parts=parts, runs=runs.table(), hardware=runs.hardware(), data=_embeddable(runs.details()), slug=_slug,
        counts={part: Counter(row.verdict for row, _ in content["claims"]) for part, content in parts.items()},
    )  # fmt: skip
    path = results_root() / "report.html"
    write_atomically(path, text)
    return [path]


def _behind_the_papers(name: str, rows: Sequence[Row], runs: Runs) -> list[str]:
    """Folders of the runs that a table in the paper's layout shows: those at its scale."""
    shown = [row for row in rows if f"{row.part}_paper" == name and row.published_value is not None and row.ours]
    folders = ((folder, row) for row in shown for folder in row.runs)
    return sorted({folder for folder, row in folders if runs.records[folder].summary["scale"] == row.scale})


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _embeddable(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("</", r"<\/")


def _table(path: Path, behind: list[page_runs.Group]) -> Artefact:
    """As write_table left it."""
    caption, _, header, _, *body = path.with_name(path.name + ".md").read_text().splitlines()

    def split(line: str) -> list[str]:
        return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]

    rows = [[(cell.replace("**", ""), "**" in cell) for cell in split(line)] for line in body]
    return Artefact(path.name, caption, behind, header=split(header), rows=rows)


def _figure(path: Path, behind: list[page_runs.Group], limit: int) -> Artefact:
    """The PNG with few colours, made smaller until it takes at most `limit` bytes."""
    from PIL import Image

    with Image.open(path.with_name(path.name + ".png")) as file:
        original = file.convert("RGB")
    width, content = min(WIDTH, original.width), b""
    while not content or (len(content) > limit and width > 400):
        size = (width, round(original.height * width / original.width))
        buffer = io.BytesIO()
        small = original.resize(size, Image.Resampling.LANCZOS)
        # an octree keeps the colours of thin lines, which a median cut gives to the areas
        small.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        content, width = buffer.getvalue(), round(0.85 * width)
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return Artefact(path.name, _caption(path.name), behind, uri=uri, width=size[0], height=size[1])


def _caption(name: str) -> str:
    """`fig6_digits_laptop` -> `Fig 6: digits laptop`; what the axes show stands in the picture."""
    head, _, rest = name.partition("_")
    head = re.sub(r"^(fig|table)", lambda match: f"{match[1].title()} ", head)
    head = "RL" if head == "rl" else head[:1].upper() + head[1:]
    rest = rest.replace("_", " ").replace("four rooms", "four-rooms").replace("fid", "FID").replace("cldr", "CLDR")
    return ": ".join(filter(None, [head, rest]))
