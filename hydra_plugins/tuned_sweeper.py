"""A Hydra sweeper that runs a protocol of conf/sweep/*.yaml through whatever launcher is chosen. (Hydra finds sweepers
in the namespace `hydra_plugins` alone.)

    cells    what the paper's table varies beside the optimizer: `model=vgg11,resnet34 dataset=cifar10`
    grids    the settings of each optimizer, a line each: `optimizer=adam optimizer.lr=1e-2,1e-3`
    tuning   how a setting is judged, on data that the report does not use; null: every setting is reported
    report   how the chosen settings run: `figure=fig6 seed=0,1,2`

All are Hydra overrides, a comma list is every value in turn. A job returns its score; the largest mean of a cell's
optimizer is chosen, the first among equals. Where a chosen setting lies at an end of its grid a better one may lie
beyond: the grid then grows there, and every optimizer of the sweep gets as many trials more (`further`), ROUNDS times
at most.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

Job = list[str]
ROUNDS = 2  # as often a grid may grow
LOG_SCALE = ("lr", "eps", "weight_decay")  # settings that grow by a factor; others, such as betas, end where they end


class TunedSweeper(Sweeper):
    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        from hydra.core.plugins import Plugins

        self.spec = config.sweep
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.launched = 0
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> None:
        extra = [argument for argument in arguments if not argument.lstrip("+").startswith(("sweep=", "sweep."))]
        candidates: dict[str, list[Job]] = defaultdict(list)
        for cell in self.every(self.spec.cells):
            for grid in self.spec.grids:
                optimizer, _, settings = grid.partition(" ")
                for one in self.every(optimizer):
                    candidates[" ".join([*cell, *one])] += [[*cell, *one, *s] for s in self.every(settings)]
        if self.spec.tuning is None:
            chosen = [job for jobs in candidates.values() for job in jobs]
        else:
            chosen = self.tune(candidates, extra)
        self.run([[*job, *how, *extra] for job in chosen for how in self.every(self.spec.report)])

    def tune(self, candidates: dict[str, list[Job]], extra: Job) -> list[Job]:
        """Runs every candidate, and further ones where the best is at an end; returns the best of each cell's
        optimizer."""
        worth: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in candidates}
        for _ in range(ROUNDS + 1):
            self.judge(candidates, worth, extra)
            ends = {
                name: at_ends(best(scores), list(scores)) if max(scores.values()) > -math.inf else []
                for name, scores in worth.items()
            }
            most = max(len(keys) for keys in ends.values())
            if not most:
                break
            candidates = {name: further(best(scores), list(scores), most) for name, scores in worth.items()}
        chosen = []
        for name, scores in worth.items():
            job = best(scores)
            if scores[job] == -math.inf:
                print(f"{name}: none of its {len(scores)} settings ended well; it is left out")
                continue
            setting = " ".join(override for override in job if override not in name.split())
            edge = f"; warning: at the end of its grid in {', '.join(ends[name])}" if ends[name] else ""
            print(f"{name}: {setting}, the best of {len(scores)} with {scores[job]:.2f}{edge}")
            chosen.append(list(job))
        return chosen

    def judge(
        self, candidates: dict[str, list[Job]], worth: dict[str, dict[tuple[str, ...], float]], extra: Job
    ) -> None:
        """Adds the mean score of every candidate to `worth`."""
        hows = self.every(self.spec.tuning)
        jobs = [[*job, *how, *extra] for group in candidates.values() for job in group for how in hows]
        scores = iter(self.run(jobs))
        for name, group in candidates.items():
            for job in group:
                worth[name][tuple(job)] = fmean([next(scores) for _ in hows])

    def run(self, jobs: list[Job]) -> list[float]:
        """The jobs' scores in their order; minus infinity where there is none."""
        self.validate_batch_is_legal(jobs)
        results = self.launcher.launch(jobs, initial_job_idx=self.launched)
        self.launched += len(jobs)
        values = [r.return_value if r.status == JobStatus.COMPLETED else None for r in results]
        return [value if isinstance(value, float) and math.isfinite(value) else -math.inf for value in values]

    def every(self, overrides: str) -> list[Job]:
        parsed = self.parser.parse_overrides(overrides.split())
        return basic_sweeper.BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]


# -- beyond a grid -----------------------------------------------------------------------------------------------------


def best(scores: dict[tuple[str, ...], float]) -> tuple[str, ...]:
    return max(scores, key=scores.__getitem__)


def grid(jobs: Sequence[Sequence[str]]) -> dict[str, list[float]]:
    """The settings on a logarithmic scale that differ between jobs, and their values in order."""
    values: dict[str, set[float]] = defaultdict(set)
    for job in jobs:
        for word in job:
            key, _, value = word.partition("=")
            if key.rpartition(".")[2] in LOG_SCALE:
                values[key].add(float(value))
    return {key: sorted(found) for key, found in values.items() if len(found) > 1 and min(found) > 0}


def at_ends(job: Sequence[str], jobs: Sequence[Sequence[str]]) -> list[str]:
    """The settings of `job` that are the smallest or the largest of all jobs."""
    own = {word.partition("=")[0]: word.partition("=")[2] for word in job}
    return [key for key, values in grid(jobs).items() if float(own[key]) in (values[0], values[-1])]


def further(job: Sequence[str], jobs: Sequence[Sequence[str]], count: int) -> list[Job]:
    """`count` trials more around the best: first one step beyond each end that it lies at, by the factor between the
    last two values; then half-way, on a logarithmic scale, to its neighbours. Fewer only where a grid has too few."""
    values, ends = grid(jobs), at_ends(job, jobs)
    own = {word.partition("=")[0]: word.partition("=")[2] for word in job}
    beyond, between = [], []
    for key, known in values.items():
        at = known.index(float(own[key]))
        for side in (-1, 1):
            if 0 <= at + side < len(known):
                between.append((key, math.sqrt(known[at] * known[at + side])))
            elif key in ends:
                beyond.append((key, known[at] ** 2 / known[at - side]))
    return [
        [f"{key}={value:.3g}" if word.startswith(f"{key}=") else word for word in job]
        for key, value in [*beyond, *between][:count]
    ]
