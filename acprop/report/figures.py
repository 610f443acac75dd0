"""What every figure shares: a backend without a screen, the house's font, files that the same records repeat."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acprop.report.style import FONT, Look


@contextmanager
def subplots(path: Path, rows: int = 1, columns: int = 1, **options: Any) -> Iterator[tuple[Any, Any]]:
    """(figure, axes of shape (rows, columns)); on leaving, `path`.png and `path`.pdf are written."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(FONT):
        figure, axes = plt.subplots(rows, columns, squeeze=False, layout="constrained", **options)
        yield figure, axes
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".png", ".pdf"):
            temporary = path.with_name(f".{path.name}{suffix}")
            # no dates in the files: the same records give the same bytes
            metadata = {"CreationDate": None} if suffix == ".pdf" else {}
            figure.savefig(temporary, format=suffix[1:], dpi=200, metadata=metadata)
            temporary.replace(path.with_name(path.name + suffix))
        plt.close(figure)


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
