"""How the paper's claim on reinforcement learning, Fig 9, is read off a run."""

import math

from acprop.report.claims.rules import Metric
from experiments.rl.measures import mean_return

METRICS = {"return": Metric("mean return over training", True, (-math.inf, math.inf), lambda v: math.nan, mean_return)}
