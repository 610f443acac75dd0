"""What every figure shares: a backend without a screen, the house's font, files that the same records repeat."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from acprop.report.style import FONT, Look
from acprop.runs.record import write_atomically


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
        for suffix in ("png", "pdf"):
            # no dates in the files: the same records give the same bytes
            told: dict[str, Any] = {"Numbers": numbers} if suffix == "png" else {"CreationDate": None}
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=200, metadata=told)
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
    """Draws the mean of several runs' curves, as far as all of them go, and their range; returns the means."""
    import numpy as np

    length = min((len(curve) for curve in curves), default=0)
    if not length:
        return np.empty(0)
    positions = [position for position, _ in curves[0][:length]]
    values = np.array([[value for _, value in curve[:length]] for curve in curves])
    axis.plot(positions, values.mean(0), color=look.color, linestyle=look.linestyle, lw=1.3, label=label)
    if len(curves) > 1:
        axis.fill_between(positions, values.min(0), values.max(0), color=look.color, alpha=0.15, lw=0)
    return values.mean(0)


def legend_below(figure: Any, axes: Any, columns: int = 7) -> None:
    """One legend under all panels, each name once."""
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        handles.update({text: line for line, text in zip(*axis.get_legend_handles_labels(), strict=True)})
    if handles:
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center",
            ncols=min(columns, len(handles)), frameon=False,
        )  # fmt: skip
