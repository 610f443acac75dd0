"""Which jobs of a sweep have run already, told by their overrides alone: to compose a config, so as to know its folder,
takes a tenth of a second, and a sweep may have thousands of finished cells.

A job that ends adds a line to `$ACPROP_RUNS/.sweep/finished/<task>.jsonl`: what composes it, its folder, its score. The
line holds as long as the folder's record does, and all of conf/ is as it was.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from acprop.runs import identity
from acprop.runs.identity import run_dir, runs_root
from acprop.runs.record import FINISHED


class FinishedJob(NamedTuple):
    """folder: below the root of runs. score: what the job returned, for a sweeper that chooses by it."""

    folder: str
    score: float | None


class Finished:
    """The finished jobs of a task.

    Args:
        runtime: Hydra's `hydra.runtime`, which knows from where it composes.
    """

    def __init__(self, task: str, runtime: Any) -> None:
        folders = [source.path for source in runtime.config_sources if source.schema == "file"]
        self.composed_by = _digest(tuple(folders))
        self.path = runs_root() / ".sweep" / "finished" / f"{task}.jsonl"
        self.jobs: dict[str, FinishedJob] = {}

    def read(self) -> "Finished":
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                name, folder, score = json.loads(line)
            except ValueError:  # cut short
                continue
            self.jobs[name] = FinishedJob(folder, score)
        return self

    def find(self, overrides: Sequence[str]) -> FinishedJob | None:
        """The job of these overrides, if its record is there and says that it has ended."""
        job = self.jobs.get(self._name(overrides))
        try:
            ended = job and json.loads((runs_root() / job.folder / "run.json").read_bytes())["status"] in FINISHED
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return job if ended and not any(word.startswith("force=") for word in overrides) else None

    def add(self, overrides: Sequence[str], config: identity.Config, score: Any) -> None:
        """Adds the line of a job; a disk that has no room for it costs the line, and not the run."""
        folder = run_dir(config).relative_to(runs_root()).as_posix()
        known = isinstance(score, float) and math.isfinite(score)
        line = json.dumps([self._name(overrides), folder, score if known else None]) + "\n"
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:  # written at once, so jobs side by side keep theirs apart
                file.write(line)

    def _name(self, overrides: Sequence[str]) -> str:
        return hashlib.sha256(json.dumps([self.composed_by, *overrides]).encode()).hexdigest()[:16]


@cache
def _digest(folders: Iterable[str]) -> str:
    """Over all configs, and what makes a folder's name of one."""
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.yaml"))
    code = Path(identity.__file__).read_bytes()
    return hashlib.sha256(code + b"\0".join(path.read_bytes() for path in files)).hexdigest()


class Skipping:
    """A launcher that launches what is not finished, through another one."""

    def __init__(self, launcher: Any, config: DictConfig) -> None:
        self.launcher, self.finished = launcher, Finished(config.task, config.hydra.runtime)
        if "TORCHELASTIC_RUN_ID" not in os.environ:  # ranks must agree, and may not have read the same
            self.finished.read()

    def unfinished(self, jobs: Sequence[Sequence[str]]) -> list[Sequence[str]]:
        return [overrides for overrides in jobs if not self.finished.find(overrides)]

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        found = [self.finished.find(overrides) for overrides in jobs]
        left = [overrides for overrides, known in zip(jobs, found, strict=True) if not known]
        if len(left) < len(jobs):
            print(f"{len(jobs) - len(left)} runs are finished already (force=true runs them again)", flush=True)
        returns = iter(self.launcher.launch(left, initial_job_idx=initial_job_idx) if left else ())
        results = []
        for overrides, known in zip(jobs, found, strict=True):
            skipped = known and JobReturn(overrides, status=JobStatus.COMPLETED, _return_value=known.score)
            results.append(skipped or next(returns))
        return results
