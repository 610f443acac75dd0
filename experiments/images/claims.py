"""What the paper's numbers of image classifiers are, and how ours are read off a run."""

from acprop.report.claims.rules import Metric
from acprop.report.stats import PERCENT

MARGIN = 0.3  # points of top-1
SPREAD = 0.03  # a smaller standard deviation is none of training seeds

BEST_TOP1 = Metric(
    "test top-1 of the best epoch (%)", True, PERCENT, lambda v: MARGIN, lambda r: r.summary["best"]["value"], SPREAD
)
TOP1 = Metric(
    "test top-1 of the last epoch (%)", True, PERCENT, lambda v: MARGIN, lambda r: r.summary["final"]["test/top1"],
    SPREAD,
)  # fmt: skip
ERROR = Metric(
    "test error (%)", False, PERCENT, lambda v: MARGIN, lambda r: 100 - r.summary["final"]["test/top1"], SPREAD
)
