"""Hydra's launcher plugins with one thing added: every job of a sweep is heard to its end. (Hydra finds launchers in
the namespace `hydra_plugins` alone.)

The plugins give up at the first job whose worker is lost (killed for memory, out of time, its node gone): they wait for
no other job and name none. These launchers ask the plugin for one job a call, `parallel` calls at a time, and turn what
a call raises into a failure under the job's name. conf/hydra/launcher chooses them under the plugins' own names.
"""

import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from typing import Any, ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig

from acprop.runs.errors import UsageError, require
from acprop.runs.launch import Failure, Job
from acprop.runs.stopping import SIGNALS


class PatientLauncher(Launcher):
    """Launches through `plugin`, another launcher's class, built from the settings that its schema allows."""

    plugin: ClassVar[str]
    parallel: int  # calls of the plugin at a time

    def __init__(self, **settings: Any) -> None:
        try:
            self.engine = get_class(self.plugin)(**settings)
        except ImportError as error:
            remedy = "pip install -c constraints.txt -e '.[suite,launchers]'"
            raise UsageError(f"hydra/launcher: {self.plugin.split('.')[1]} is not installed; {remedy}") from error

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        assert isinstance(task_function, Job)
        self.job = task_function
        self.engine.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        jobs = zip(job_overrides, range(initial_job_idx, sys.maxsize), strict=False)
        with ThreadPool(self.parallel) as pool:  # of daemons: Ctrl-C need not wait for the jobs
            returns = pool.starmap(self._launch_one, jobs, chunksize=1)
        return self._note(job_overrides, returns)

    def _launch_one(self, overrides: Sequence[str], number: int) -> JobReturn:
        try:
            (result,) = self.engine.launch([overrides], number)
            return result
        except Exception as error:  # a plugin's own, of any type: the job is named at the end, the others go on
            lost = Failure(f"{' '.join(overrides)}: {_told(error)}", mistake=False)
            return JobReturn(status=JobStatus.COMPLETED, _return_value=lost)

    def _note(self, jobs: Sequence[Sequence[str]], returns: Sequence[JobReturn]) -> Sequence[JobReturn]:
        for overrides, result in zip(jobs, returns, strict=True):
            value = result.return_value
            self.job.outcomes[" ".join(overrides)] = value if isinstance(value, Failure) else None
        return returns


class JoblibLauncher(PatientLauncher):
    """joblib shares the jobs out itself. Losing a worker, it loses all; the jobs then run again one at a time, which
    names the one that kills its worker. What is finished is skipped."""

    plugin = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
    parallel = 1

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        if self.engine.joblib["n_jobs"] == -1 and config.get("device") != "cpu" and (gpus := count_gpus()):
            self.engine.joblib["n_jobs"] = gpus  # each worker takes one for itself (acprop/runs/environment.py)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            return self._note(job_overrides, self.engine.launch(job_overrides, initial_job_idx))
        except Exception as error:  # a worker lost, or a result that cannot travel: each job is tried alone
            print(f"{_told(error)} From here one job at a time.", file=sys.stderr)
        return super().launch(job_overrides, initial_job_idx)


class SubmititLauncher(PatientLauncher):
    """`parallel` as many as the cores of this machine allow: the plugin itself would start all jobs at once."""

    plugin = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        cpus = settings["cpus_per_task"]
        require(isinstance(cpus, int) and cpus > 0, "hydra.launcher.cpus_per_task", cpus, "a whole number > 0")
        os.environ["OMP_NUM_THREADS"] = str(cpus)  # the jobs inherit it
        self.parallel = max(1, len(os.sched_getaffinity(0)) // cpus)


class SlurmLauncher(SubmititLauncher):
    plugin = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.parallel = settings["array_parallelism"]


class RayLauncher(PatientLauncher):
    """`parallel` tasks are handed to Ray; how many of them run, `ray.remote`'s resources decide."""

    plugin = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
    parallel = 256

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray

        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        start_ray(self.engine.ray_cfg.init)  # before two threads try to
        for number, handler in handlers.items():  # Ray puts its own in their place
            signal.signal(number, handler)
        return super().launch(job_overrides, initial_job_idx)


def count_gpus() -> int:
    import torch  # seconds: not for `--help`

    return torch.cuda.device_count()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).splitlines()[:2])}"  # the worker's whole log may follow
