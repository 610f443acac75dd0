"""What a run is worth: to the sweep that chooses by it, and to the report."""

from itertools import pairwise


def mean_over_training(curve: list[tuple[float, float]]) -> float:
    """Area under a curve of (step, value), by trapezoids, over its length in steps."""
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(curve))
    return area / (curve[-1][0] - curve[0][0])
