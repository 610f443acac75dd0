"""What a sweep tries of an optimizer: every point of a grid, or random ones from a prior; and, where the best lies at
an edge, more beyond it, at an equal budget for all.

A line of a protocol is Hydra's: `optimizer=sgd optimizer.lr=1e-1,1e-2` is a grid, and in a prior
`optimizer.lr=tag(log,interval(1e-4,1e-1)) optimizer.weight_decay=0,1e-4` an interval and a list to draw from.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

EDGE = 0.1  # of an interval, on its log scale: so near to an end the best is taken to lie beyond it
ON_LOG_SCALE = ("lr", "eps", "weight_decay")  # settings whose grid has an end to go beyond; a momentum has none

Point = tuple[str, ...]  # one override a setting


@dataclass(frozen=True)
class Axis:
    """The values of one setting.

    Attributes:
        key: `optimizer.lr`.
        values: those of a grid or of a prior's list, as written; none for an interval.
        low, high: the interval, or the ends of values on a log scale.
        edge: how far from an end, as a share of the interval, the best may not lie.
        between: whether what is drawn lies anywhere between the ends; of a prior's list it is one of the values.
    """

    key: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    edge: float = 0.0
    between: bool = True

    @property
    def log(self) -> bool:
        return 0 < self.low < self.high

    def draw(self, uniform: float) -> str:
        """The value at `uniform` of [0, 1): of a list one, of an interval evenly on its log scale."""
        if not (self.log and self.between):
            return f"{self.key}={self.values[int(uniform * len(self.values))]}"
        return f"{self.key}={float(f'{self.low * (self.high / self.low) ** uniform:.3g}')}"

    def side(self, value: float) -> int:
        """-1 or 1 at the lower or the upper edge, 0 between them. Beyond 0 lies nothing."""
        if value == 0:
            return 0
        position = math.log(value / self.low) / math.log(self.high / self.low)
        if position >= 1 - self.edge - 1e-9:
            return 1
        return -1 if position <= self.edge + 1e-9 and 0 not in map(float, self.values) else 0

    def beyond(self, side: int) -> "Axis":
        """What lies beyond the edge: of values the next one, of an interval the next decade."""
        if not self.values:
            ends = (self.low / 10, self.low) if side < 0 else (self.high, self.high * 10)
            return replace(self, low=ends[0], high=ends[1])
        *_, before, last = sorted(_positive(self.values), reverse=side < 0)
        following = f"{(self.low if side < 0 else self.high) * last / before:.3g}"
        return replace(self, values=(following,), low=float(following), high=float(following))


def listed(key: str, values: tuple[str, ...], between: bool = True) -> Axis:
    if key.rpartition(".")[2] not in ON_LOG_SCALE or len(numbers := _positive(values)) < 2:
        return Axis(key, values)
    return Axis(key, values, min(numbers), max(numbers), between=between)


def _positive(values: tuple[str, ...]) -> list[float]:
    return [number for number in map(float, values) if number > 0]


@dataclass(frozen=True)
class Space:
    """The settings of one optimizer: a grid, or a prior of so many `trials`."""

    axes: tuple[Axis, ...]
    trials: int | None = None

    def first(self) -> list[Point]:
        if self.trials is None:
            return list(itertools.product(*([f"{axis.key}={value}" for value in axis.values] for axis in self.axes)))
        return self.draws(range(self.trials))

    def draws(self, numbers: range) -> list[Point]:
        """Random points. Trial n draws the same quantile of a setting for every optimizer that has it, in any order."""
        return [tuple(axis.draw(Random(f"{axis.key} {n}").random()) for axis in self.axes) for n in numbers]

    def sides(self, best: Point) -> list[int]:
        """For each axis, at which edge the best lies."""
        values = (override.partition("=")[2] for override in best)
        return [axis.side(float(value)) if axis.log else 0 for axis, value in zip(self.axes, values, strict=True)]

    def widened(self, sides: list[int]) -> "Space":
        """With what lies beyond the edges."""
        return replace(self, axes=tuple(map(_joined, self.axes, sides)))

    def beyond(self, best: Point, sides: list[int]) -> Iterator["Point | Space"]:
        """What `widened` adds, an axis each: of values the best one step further, of an interval what to draw from."""
        for number, side in enumerate(sides):
            if side:
                axis = self.axes[number].beyond(side)
                if axis.values:
                    yield (*best[:number], axis.draw(0), *best[number + 1 :])
                else:
                    yield replace(self, axes=(*self.axes[:number], axis, *self.axes[number + 1 :]))


def _joined(axis: Axis, side: int) -> Axis:
    if not side:
        return axis
    added = axis.beyond(side)
    if axis.values and axis.between:
        return listed(axis.key, axis.values + added.values)
    return replace(axis, low=min(axis.low, added.low), high=max(axis.high, added.high))


def more(spaces: list[Space], best: list[Point], drawn: int) -> tuple[list[Space], list[list[Point]]]:
    """(spaces, further points) after a round: where the best of an optimizer lies at an edge, points beyond it, and as
    many random ones for every other; nothing if no best lies at one.

    Args:
        drawn: points that every optimizer has had so far.
    """
    sides = [space.sides(point) for space, point in zip(spaces, best, strict=True)]
    if not any(map(any, sides)):
        return spaces, []
    parts = [list(space.beyond(point, own)) for space, point, own in zip(spaces, best, sides, strict=True)]
    count = max(map(len, parts)) if spaces[0].trials is None else max(1, spaces[0].trials // 3)
    points = []
    for space, own in zip(spaces, parts, strict=True):
        further = [part for part in own if isinstance(part, tuple)]
        sources = [part for part in own if isinstance(part, Space)] or [space]
        for n in range(drawn + len(further), drawn + count):
            further += sources[n % len(sources)].draws(range(n, n + 1))
        points.append(further)
    return [space.widened(side) for space, side in zip(spaces, sides, strict=True)], points
