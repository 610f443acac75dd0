"""Where an optimizer converges in the limit over all of beta1, beta2 and P, not on the one slice that the maps show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acprop.runs import Run, require_one_of
from experiments.theory.limit import AXES, drift
from experiments.theory.maps import beta2
from experiments.theory.problems import PERIODIC


def study(
    run: Run, problem: str, optimizers: Sequence[str], mutants: Sequence[str], beta1: Sequence[float],
    minus_log10_one_minus_beta2: Mapping[str, Any], periods: Mapping[str, int],
) -> None:  # fmt: skip
    """Solves the limit in every cell. Keeps converges (optimizers then mutants, beta1, P, beta2) and the axes; logs how
    many cells diverge, and the smallest P at which one does."""
    require_one_of("study.problem", problem, PERIODIC)
    for name in (*optimizers, *mutants):
        require_one_of("study.optimizers", name, AXES)
    axis = minus_log10_one_minus_beta2
    x_axis = axis["first"] + axis["step"] * np.arange(axis["count"])
    every = np.arange(periods["first"], periods["last"] + 1)
    gradient, converges = PERIODIC[problem].gradient, []
    for name in (*optimizers, *mutants):
        cells = np.array([[drift(name, gradient, int(P), b1, beta2(x_axis)) > 0 for P in every] for b1 in beta1])
        diverges = ~cells
        at = every[diverges.any((0, 2))]
        run.log(name, cells=cells.size, diverge=diverges.sum(), **({"first_P": at[0]} if len(at) else {}))
        converges.append(cells)
    run.keep(converges=np.array(converges), beta1=np.array(beta1), P=every, beta2=x_axis)
