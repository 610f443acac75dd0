"""A Hydra sweeper that runs a protocol of conf/sweep/*.yaml through whatever launcher is chosen. (Hydra finds sweepers
in the namespace `hydra_plugins` alone.)

    cells    what the paper's table varies beside the optimizer: `model=vgg11,resnet34 dataset=cifar10`
    grids    the settings of each optimizer, a line each: `optimizer=adam optimizer.lr=1e-2,1e-3`
    tuning   how a setting is judged, on data that the report does not use; null: every setting is reported
    report   how the chosen settings run: `figure=fig6 seed=0,1,2`

All are Hydra overrides, a comma list is every value in turn. A job returns its score; the largest of a cell's optimizer
is chosen, the first among equals.
"""

import math
from collections import defaultdict
from typing import Any

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

Job = list[str]


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
        """Runs every candidate and returns the best of each cell's optimizer."""
        jobs = [job for group in candidates.values() for job in group]
        scores = iter(self.run([[*job, *self.spec.tuning.split(), *extra] for job in jobs]))
        chosen = []
        for name, group in candidates.items():
            worth = [next(scores) for _ in group]
            best = max(range(len(group)), key=worth.__getitem__)
            if worth[best] == -math.inf:
                print(f"{name}: none of its {len(group)} settings ended well; it is left out")
            else:
                setting = " ".join(override for override in group[best] if override not in name.split())
                print(f"{name}: {setting}, the best of {len(group)} with {worth[best]:.2f}")
                chosen.append(group[best])
        return chosen

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
