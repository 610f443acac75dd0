"""Records as the runners would leave them, with given scores."""

import math

import numpy as np

from acprop.runs import Run
from experiments.theory.report import published_maps

SELECT = {"cifar": ("test/top1", "max"), "gan": ("test/fid", "min"), "transformer": ("valid/bleu", "max")}


def leave(configure, task, *overrides, scores, published=True, **metrics):
    """One finished run a seed, worth its score; a score that is not finite diverges."""
    cfg = configure(task, "tracking=none", *overrides)
    split, metric = SELECT[task][0].split("/")
    if task == "cifar" and cfg.held_out:
        split = "validation"
    if task == "gan" and cfg.fid_network == "classifier":
        metric = "feature_fid"
    for seed, score in enumerate(scores):
        cfg.seed = seed
        with Run.open(cfg, select=(f"{split}/{metric}", SELECT[task][1])) as run:
            if run.finished:
                continue
            run.describe(published_data=published)
            for epoch in run.epochs(3):
                run.log(split, **{metric: score + (epoch - 2) * (0.1 if SELECT[task][1] == "max" else -0.1)})
            if task == "transformer":
                run.log("test", bleu=score)
            run.require_finite("loss", score)


def leave_map(configure, problem, criterion, differ):
    """A map that is the published one, but for `differ` cells of each panel."""
    cfg = configure("theory", "study=map", f"problem={problem}", f"criterion={criterion}", "tracking=none")
    panels, beta1 = list(cfg.problem.panels), list(cfg.study.beta1)
    shape = (len(panels), len(beta1), len(cfg.problem.periods), 25)
    converges = np.ones(shape, bool)
    for (name, optimizer), cells in published_maps().items():
        if name == problem:
            converges[panels.index(optimizer)] = cells
            flat = converges[panels.index(optimizer)].reshape(len(beta1), -1)
            flat[:, :differ] = ~flat[:, :differ]
    with Run.open(cfg) as run:
        run.log("all", converge=float(converges.sum()))
        axes = {"P": np.array(cfg.problem.periods), "beta2": np.arange(1, 26) / 10}
        mutants = np.zeros((len(cfg.study.mutants), *shape[2:]), bool)
        run.keep(converges=converges, distance=np.full(shape, math.nan), drift=np.zeros(shape), mutants=mutants, **axes)
