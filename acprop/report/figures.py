"""What every figure shares: a backend without a screen, the house's font, files that the same records repeat."""

import hashlib
import io
import json
import math
import textwrap
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from acprop.report.style import FONT, Look
from acprop.runs.record import write_atomically

DPI = 200
LETTER = 0.055  # inches that one of a legend takes
ROW = 0.15  # and a row of it
ROWS = 4  # for so many a figure has room


def subplots(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """(figure, axes of shape (rows, columns))."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, squeeze=False, layout="constrained", **options)


def save(path: Path, draw: Callable[[], Any]) -> None:
    """Writes what `draw` draws as `path`.png and `path`.pdf."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(FONT):
        figure = draw()
        numbers = digest(figure)
        figure.set_dpi(DPI)
        figure.draw_without_rendering()  # lays it out, for both files
        figure.set_layout_engine(None)
        for suffix in ("png", "pdf"):
            # no dates in the files: the same records give the same bytes
            told: dict[str, Any] = {"Numbers": numbers} if suffix == "png" else {"CreationDate": None}
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=DPI, metadata=told)
            write_atomically(path.with_name(f"{path.name}.{suffix}"), buffer.getvalue())
        plt.close(figure)


def digest(figure: Any) -> str:
    """A hash over all that a figure shows: every text, and the numbers behind every line, marker, area and image. Six
    digits of them, since the last ones of a sum differ from one processor to the next."""
    import numpy as np
    from matplotlib.text import Text

    def numbers(values: Any) -> list[str]:
        flat: list[float] = np.ma.filled(np.ma.asarray(values, float), np.nan).ravel().tolist()
        return [f"{one:.5e}" for one in flat]

    shown: list[Any] = [text.get_text() for text in figure.findobj(Text)]
    for axis in figure.axes:
        shown += [numbers(line.get_xydata()) for line in axis.lines]
        shown += [numbers(image.get_array()) for image in axis.images]
        for collection in axis.collections:
            shown.append(numbers(collection.get_offsets()))
            if collection.get_array() is not None:
                shown.append(numbers(collection.get_array()))
            shown += [numbers(path.vertices) for path in collection.get_paths()]
        shown += [numbers(patch.get_path().vertices) for patch in axis.patches]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]


def digest_of(path: Path) -> str | None:
    """What `save` wrote into a PNG file."""
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get("Numbers")


def draw_runs(axis: Any, curves: Sequence[Sequence[tuple[float, float]]], look: Look, label: str) -> Any:
    """Draws the mean of several runs' curves and their range; returns the means. Runs that ended before the others, as
    those that diverge do, are counted in the legend (`legend_below` reads the line's gid) and not drawn."""
    import numpy as np

    if not curves:
        return np.empty(0)
    length = max(map(len, curves))
    whole = [curve for curve in curves if 0 < len(curve) == length]
    positions = [position for position, _ in whole[0]] if whole else []
    values = np.array([[value for _, value in curve] for curve in whole]).reshape(len(whole), length)
    means = values.mean(0) if whole else np.empty(0)
    (line,) = axis.plot(positions, means, color=look.color, linestyle=look.linestyle, lw=1.3, label=label)
    if len(whole) < len(curves):
        line.set_gid(f"{len(curves) - len(whole)} of {len(curves)} ended early")
    if len(whole) > 1:
        axis.fill_between(positions, values.min(0), values.max(0), color=look.color, alpha=0.15, lw=0)
    return means


def legend_below(figure: Any, axes: Any, columns: int = 7) -> None:
    """One legend under all panels, each name once, in as many columns as the figure is wide for. For a long one the
    figure grows, so that the panels keep their size."""
    lines: dict[str, Any] = {}
    notes: dict[str, list[str]] = defaultdict(list)
    for axis in axes.flat:
        lines.update({name: line for line, name in zip(*axis.get_legend_handles_labels(), strict=True)})
        for line in axis.lines:
            if note := line.get_gid():
                notes[line.get_label()].append(f"{axis.get_title()}: {note}" if axes.size > 1 else note)
    handles = {f"{name} ({'; '.join(notes[name])})" if name in notes else name: line for name, line in lines.items()}
    if handles:
        room = int(figure.get_figwidth() / (0.55 + LETTER * max(map(len, handles))))  # inches: a line, and its name
        columns = max(1, min(columns, len(handles), room))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False)
        rows = math.ceil(len(handles) / columns)
        figure.set_figheight(figure.get_figheight() + max(0, rows - ROWS) * ROW)


def head(figure: Any, title: str) -> None:
    """A title over all panels, in as few lines as fit, of like length."""
    size = 9
    letters = int(figure.get_figwidth() / LETTER * FONT["legend.fontsize"] / size)
    lines = len(textwrap.wrap(title, letters))
    narrow = next(width for width in range(1, letters + 1) if len(textwrap.wrap(title, width)) <= lines)
    figure.suptitle(textwrap.fill(title, narrow), fontsize=size)
