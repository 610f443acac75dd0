"""report.html: one page that opens from disk. Verdicts on top; for each part of the paper its claims, published
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

from acprop.report.artefacts import OTHER, PARTS, Artefact, Cell
from acprop.report.claims import rules, words
from acprop.report.claims.ledger import Row
from acprop.report.page_runs import Runs
from acprop.runs.record import write_atomically

TEMPLATE = "page.html.j2"
IMAGES, IMAGE = 2_000_000, 120_000  # bytes that all pictures, and one, may take, before base64
WIDTH = 1100  # pixels

MARKS = dict(zip(rules.VERDICTS, "✓≈✗⊥?…◔–", strict=True))


class Picture(NamedTuple):
    """A figure as the page shows it: data URI, and its size there."""

    uri: str
    width: int
    height: int


def write(rows: Sequence[Row], made: Sequence[Artefact], material: Any, root: Path) -> Path:
    """Writes the page; returns its path.

    Args:
        rows: the ledger.
        made: what the same records gave; the pictures lie under `root`.
        material: the records, a user's own runs of published cells among them, and what could not be read.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    runs = Runs([*material.records, *material.twins])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    figures = [artefact for artefact in made if artefact.draw]
    limit = min(IMAGE, IMAGES // max(1, len(figures)))
    by_part: dict[str, dict[str, list[Any]]] = {
        part: {"claims": [], "figures": [], "tables": []} for part in [*PARTS, OTHER]
    }
    for row in rows:
        by_part[row.part]["claims"].append((row, runs.groups(row.runs)))
    for artefact in sorted(made, key=lambda artefact: artefact.name):
        behind = runs.groups(record.folder for record in artefact.records)
        part = by_part[artefact.part if artefact.part in by_part else OTHER]
        picture = root / "figures" / f"{artefact.name}.png"
        if not artefact.draw:
            part["tables"].append((artefact, behind))
        elif picture.exists():
            part["figures"].append((artefact, _picture(picture, limit), behind))
    titles = {**PARTS, OTHER: "Further tables and figures"}
    parts = {part: content for part, content in by_part.items() if any(content.values())}
    text = environment.get_template(TEMPLATE).render(
        rows=rows, total=Counter(row.verdict for row in rows), verdicts=rules.VERDICTS, marks=MARKS, titles=titles,
        parts=parts, runs=runs.table(), hardware=runs.hardware(), data=_embeddable(runs.details()), slug=_slug,
        link=_link, problems=material.problems, findings=words.told_of(rows), says=words.says, alike=words.alike,
        headline=words.headline(rows),
        counts={part: Counter(row.verdict for row, _ in content["claims"]) for part, content in parts.items()},
    )  # fmt: skip
    path = root / "report.html"
    write_atomically(path, text)
    return path


def _link(cell: Cell) -> str:
    """Where a click on a number leads: to the runs of its cell."""
    return "|".join(sorted({record.folder.rpartition("/")[0] for record in cell.records}))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _embeddable(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")


def _picture(path: Path, limit: int) -> Picture:
    """The PNG with few colours, made smaller until it takes at most `limit` bytes."""
    from PIL import Image

    with Image.open(path) as file:
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
    return Picture(uri, size[0], size[1])
