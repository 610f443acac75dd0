"""A table or a figure as a value: what it says, of which part of the paper, made from which records. The writers, the
page, the ledger and the README read this value; nobody reads another's files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from acprop.runs.record import Record

PARTS = {
    "method": "The method: ACProp, step for step",
    "fig1": "Fig 1: convergence map of Eq.1",
    "fig2": "Fig 2: trajectories on Eq.1",
    "fig3": "Fig 3: convergence map of Eq.2",
    "fig4": "Fig 4: second moments on Eq.2",
    "rosenbrock": "Rosenbrock, on the project page",
    "theorem": "Theorem: the rate",
    "fig5": "Fig 5: denominators, training loss, learning rates",
    "fig6": "Fig 6: CIFAR-10, test accuracy",
    "fig7": "Fig 7: VGG-11 over hyper-parameters",
    "fig8": "Fig 8",
    "table2": "Table 2: ImageNet, ResNet-18",
    "table3": "Table 3: translation, BLEU",
    "table4": "Table 4: GANs on CIFAR-10, FID",
    "table5": "Table 5: AvaGrad against ACProp",
    "fig9": "Fig 9: DQN on four-rooms",
    "abstract": "The abstract: over all tasks",
}
OTHER = "other"  # of no part of the paper


class Cell(NamedTuple):
    """One cell of a table, and the runs that it tells of."""

    text: str
    bold: bool = False
    records: Sequence[Record] = ()


@dataclass(frozen=True)
class Artefact:
    """A table (header, rows, and the same numbers for computing as `long`, a dict a row) or a figure (`draw`).

    Attributes:
        name: of its files, without suffix.
        part: a key of PARTS, or OTHER.
        caption: says data, budget, n and hardware; of a figure, what is to be seen.
        records: all that it was made from.
        draw: returns a matplotlib figure, called with the house's fonts in force.
    """

    name: str
    part: str
    caption: str
    records: Sequence[Record]
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    long: Sequence[dict[str, object]] = ()
    draw: Callable[[], Any] | None = None


def table(
    name: str, part: str, caption: str, records: Iterable[Record], header: Sequence[str],
    rows: Iterable[Sequence[str | Cell]], long: Sequence[dict[str, object]],
) -> Artefact:  # fmt: skip
    """A table whose rows may hold plain text."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    return Artefact(name, part, caption, list(records), header, cells, long)


def figure(name: str, part: str, caption: str, records: Iterable[Record], draw: Callable[[], Any]) -> Artefact:
    return Artefact(name, part, caption, list(records), draw=draw)
