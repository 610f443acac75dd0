"""What a map costs: seconds against cells and steps."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acprop.runs import Run, require_one_of
from experiments.theory.maps import beta2, simulate
from experiments.theory.problems import PERIODIC
from experiments.theory.recurrences import RULES, start


def study(
    run: Run, optimizer: str, problem: Mapping[str, Any], criterion: Mapping[str, Any], columns: Sequence[int],
    steps: Sequence[int], repeats: int, budget: float,
) -> None:  # fmt: skip
    """Times one panel on grids with more and more columns of beta2 (25 is the paper's) and for more and more steps, the
    smallest of `repeats`. Keeps columns, cells, steps and seconds (columns, steps)."""
    require_one_of("study.optimizer", optimizer, RULES)
    periods = np.array(problem["periods"])
    counts = [round(budget * count) for count in steps]
    seconds = np.full((len(columns), len(counts)), np.inf)
    for i, width in enumerate(columns):
        axis = beta2(np.linspace(0.1, 2.5, width))
        for j, count in enumerate(counts):
            for _ in range(repeats):
                started = time.perf_counter()
                simulate(start(optimizer, 0.9, axis), PERIODIC[problem["name"]], periods, width, count, criterion)
                seconds[i, j] = min(seconds[i, j], time.perf_counter() - started)
            run.log(f"{width}x{count}", seconds=seconds[i, j])
    cells = np.array(columns) * len(periods)
    run.keep(columns=np.array(columns), cells=cells, steps=np.array(counts), seconds=seconds)
