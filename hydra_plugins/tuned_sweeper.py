"""A Hydra sweeper that runs a protocol of conf/sweep/*.yaml through whatever launcher is chosen. (Hydra finds sweepers
in the namespace `hydra_plugins` alone.)

    task     whose runs these are
    cells    what the paper's table varies beside the optimizer: `model=vgg11,resnet34 dataset=cifar10`
    grids    the settings of each optimizer, a line each: `optimizer=adam optimizer.lr=1e-2,1e-3`
    prior    in place of grids: the same lines, with intervals to draw from: `optimizer.lr=tag(log,interval(1e-4,1))`
    trials   random settings of a prior, as many for each optimizer
    tuning   how a setting is judged, on data and seeds that the report does not use: `held_out=0.1 seed=100,101`;
             null: every setting is reported
    report   how the chosen settings run: `seed=0,1,2`

All are Hydra overrides, a comma list is every value in turn. A job returns its score; of a setting the mean over its
jobs counts, and the largest of a cell's optimizer is chosen, the first among equals. Where a choice lies at the edge of
a grid or a prior, it is extended there, and every other optimizer of the cell gets as many settings more, twice at most
(acprop/runs/search.py). What was chosen is written as a config that runs it again, under `$ACPROP_RUNS/.sweep/conf`.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from hydra._internal.core_plugins import basic_sweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper

from acprop.runs.errors import require
from acprop.runs.finished import Skipping
from acprop.runs.identity import runs_root
from acprop.runs.launch import Failure
from acprop.runs.search import EDGE, Axis, Point, Space, listed, more

Job = list[str]
ROUNDS = 2  # times that a choice at an edge is followed beyond it
UNFINISHED = math.nan  # a run that failed: its setting has no score yet


class TunedSweeper(Sweeper):
    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        from hydra.core.plugins import Plugins

        self.spec = config.sweep
        require(self.spec.task == config.task, "sweep", self.spec.task, f"a protocol of {config.task}'s: conf/sweep")
        self.choices = config.hydra.runtime.choices
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.launcher: Any = Skipping(launcher, config)
        self.launched = 0
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> None:
        extra = [argument for argument in arguments if not argument.lstrip("+").startswith(("sweep=", "sweep."))]
        optimizers = dict(self.optimizers())
        for cell in self.every(self.spec.cells):
            if self.spec.tuning is None:
                chosen = [[*cell, *name.split(), *point] for name, s in optimizers.items() for point in s.first()]
            else:
                chosen = self.tune(cell, optimizers, extra)
            self.run([[*job, *how, *extra] for job in chosen for how in self.every(self.spec.report)])

    def optimizers(self) -> Iterable[tuple[str, Space]]:
        """(`optimizer=adam`, with what is fixed beside it; what is tried of it) of every line."""
        trials = self.spec.get("trials")
        for line in self.spec.prior if trials else self.spec.grids:
            names, *words = self.parser.parse_overrides(line.split())
            axes = tuple(_axis(word, drawn=bool(trials)) for word in words)
            fixed = [f"{axis.key}={axis.values[0]}" for axis in axes if len(axis.values) == 1]
            for name in self.every(names.input_line or ""):
                yield " ".join([*name, *fixed]), Space(tuple(a for a in axes if len(a.values) != 1), trials)

    def tune(self, cell: Job, optimizers: dict[str, Space], extra: Job) -> list[Job]:
        """Runs every setting of a cell's optimizers and returns the best of each."""
        names, spaces = list(optimizers), list(optimizers.values())
        tried: list[dict[Point, float]] = [{} for _ in names]
        points = [space.first() for space in spaces]
        for round_ in range(ROUNDS + 1):
            jobs = [[*cell, *name.split(), *p] for name, own in zip(names, points, strict=True) for p in own]
            scores = iter(self.judge(jobs, extra))
            for known, own in zip(tried, points, strict=True):
                known |= {point: next(scores) for point in own}
            failed = sum(map(math.isnan, (score for known in tried for score in known.values())))
            if failed:
                print(f"{' '.join(cell)}: {failed} settings have failed runs; nothing is chosen before they are mended")
                return []
            best = [max(known, key=known.__getitem__) for known in tried]
            last, (spaces, points) = spaces, more(spaces, best, drawn=max(map(len, tried)))
            if not points or round_ == ROUNDS:
                break
        chosen = []
        for name, known, point, space in zip(names, tried, best, last, strict=True):
            end = ", which lies at an edge still" if any(space.sides(point)) else ""
            if known[point] == -math.inf:
                print(f"{' '.join([*cell, name])}: none of its {len(known)} settings ended well; it is left out")
                continue
            told = f"the best of {len(known)} settings with {known[point]:.4g}{end}"
            print(f"{' '.join([*cell, name, *point])}: {told}")
            chosen.append([*cell, *name.split(), *point])
            self.write_down([*cell, *self.spec.tuning.split()], [*name.split(), *point], told)
        return chosen

    def judge(self, settings: Sequence[Job], extra: Job) -> list[float]:
        """The mean score of each over the jobs of `tuning`."""
        how = self.every(self.spec.tuning)
        scores = self.run([[*setting, *one, *extra] for setting in settings for one in how])
        return [fmean(scores[i : i + len(how)]) for i in range(0, len(scores), len(how))]

    def run(self, jobs: list[Job]) -> list[float]:
        """The jobs' scores in their order: minus infinity for one that diverged, `UNFINISHED` for one that failed."""
        if not jobs:
            return []
        self.validate_batch_is_legal(self.launcher.unfinished(jobs))
        results = self.launcher.launch(jobs, initial_job_idx=self.launched)
        self.launched += len(jobs)
        return [_score(r.return_value) if r.status == JobStatus.COMPLETED else UNFINISHED for r in results]

    def write_down(self, cell: Job, chosen: Job, told: str) -> None:
        """The choice as conf/<task>/tuned/<dataset>/<model>/<optimizer>.yaml would have it."""
        names = {
            **self.choices,
            **dict(word.split("=", 1) for word in [*cell, *chosen] if "." not in word.split("=")[0]),
        }
        folder = Path(runs_root(), ".sweep", "conf", self.spec.task, "tuned")
        settings = {
            override.key_or_group.partition(".")[2]: override.value()
            for override in self.parser.parse_overrides(chosen[1:])
        }
        path = folder / names["dataset"] / names["model"] / f"{names['optimizer']}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        source = f"own sweep {names['sweep']} ({' '.join(cell)}): {told}"
        body = yaml.safe_dump({"tuned": {"source": source}, "optimizer": settings}, sort_keys=False, width=120)
        path.write_text(f"# @package _global_\n{body}")
        (folder / f"{names['dataset']}.yaml").write_text(f"of: {names['dataset']}\n")

    def every(self, overrides: str) -> list[Job]:
        parsed = self.parser.parse_overrides(overrides.split())
        return basic_sweeper.BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]


def _axis(word: Any, drawn: bool) -> Axis:
    key = word.key_or_group
    if word.is_interval_sweep():
        interval = word.value()
        fits = drawn and "log" in interval.tags and 0 < interval.start < interval.end
        require(fits, "sweep.prior", word.input_line, "tag(log,interval(low,high)) with 0 < low < high, in a prior")
        return Axis(key, (), interval.start, interval.end, edge=EDGE)
    values = tuple(word.sweep_string_iterator()) if word.is_sweep_override() else (word.get_value_string(),)
    return listed(key, values, between=not drawn)


def _score(value: Any) -> float:
    if isinstance(value, Failure):
        return UNFINISHED
    return value if isinstance(value, float) and math.isfinite(value) else -math.inf
