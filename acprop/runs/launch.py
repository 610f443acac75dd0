"""From a command line to runs: Hydra composes, mistakes become one line and exit code 2, the report is rebuilt.

Imports nothing heavy, so that `--help` answers at once.
"""

import difflib
import multiprocessing
import os
import re
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from acprop.runs.compose import composed
from acprop.runs.conf import CONF, options
from acprop.runs.errors import UsageError, explain_system
from acprop.runs.finished import Finished
from acprop.runs.identity import data_root, resolved, runs_root
from acprop.runs.stopping import OTHERS_S, Interrupted, Watch, end_all, end_at_once, end_with

MISTAKES = (UsageError, HydraException, OmegaConfBaseException)
# torchrun numbers its processes: the first speaks for all
LEADER = "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"


class Failure(NamedTuple):
    """What a job returns in place of a result, as the last lines of a command tell it."""

    line: str
    mistake: bool  # a user's; else a bug or a lost process


class Job:
    """What Hydra calls for each composed config: in this process, or, pickled, in a launcher's worker, which may stand
    elsewhere and know nothing of this one's environment.

    Attributes:
        outcomes: of this command's jobs, by their overrides, in the process that launches: None is success. A launcher
            adds those of its workers.
    """

    def __init__(self, task: str, run: Callable[[DictConfig], Any]) -> None:
        self.task, self.run = task, run
        self.outcomes: dict[str, Failure | None] = {}
        self.host, self.pid = socket.gethostname(), os.getpid()
        self.workers = ""  # the folder in which each worker of this machine leaves its process id, as a file
        self.folders = {
            name: os.path.abspath(value) for name, value in os.environ.items() if name.startswith("ACPROP_") and value
        }
        self.folders.setdefault("ACPROP_RUNS", os.path.abspath(runs_root()))
        self.folders.setdefault("ACPROP_DATA", os.path.abspath(data_root()))

    def __call__(self, cfg: DictConfig) -> Any:
        if (socket.gethostname(), os.getpid()) == (self.host, self.pid):
            result = self.attempt(cfg)
            self.outcomes[name_of_job()] = result if isinstance(result, Failure) else None
            return result
        os.environ.update(self.folders)
        if socket.gethostname() == self.host:
            Path(self.workers, str(os.getpid())).touch()
            end_with(self.pid)
        if multiprocessing.get_start_method(allow_none=True) == "loky":
            # joblib's own, by which the processes of a torch loader do not start
            multiprocessing.set_start_method(None, force=True)
        try:
            return self.attempt(cfg)
        except Interrupted as stop:
            sys.stdout.flush()
            os._exit(stop.code)  # type: ignore[arg-type]  # or the pool would hand this worker the next job

    def attempt(self, cfg: DictConfig) -> Any:
        """The run's result, or the failure that it ended in."""
        try:
            result = self.run(cfg)
            if HydraConfig.get().mode == RunMode.MULTIRUN and LEADER:
                overrides = list(HydraConfig.get().overrides.task)
                Finished(self.task, HydraConfig.get().runtime).add(overrides, resolved(cfg), result)
            return result
        except Exception as error:
            line = explain(error, self.task)
            if line is None:
                traceback.print_exc()
            name = "" if HydraConfig.get().mode == RunMode.RUN else f"{name_of_job()}: "
            return Failure(name + (line or f"{type(error).__name__}: {error}"), mistake=line is not None)

    def end_workers(self) -> None:
        end_all(int(path.name) for path in Path(self.workers).iterdir())


def name_of_job() -> str:
    return " ".join(HydraConfig.get().overrides.task)


def launch(task: str, run: Callable[[DictConfig], Any], report: Callable[[str], None]) -> None:
    """Runs `run` for every composed config of `conf/<task>.yaml`, then `report` of the task once if anything ran. What
    `run` returns is the job's score, for a sweeper that chooses by it.

    A failing run of a sweep does not stop the others; all failures are named at the end. Exit code: 0; 2 for a user's
    mistake; 1 for a bug, with its traceback; 128 + signal when interrupted.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own handler would print and exit before this one sees the error
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with(os.getppid())
    job = Job(task, run)
    end_at_once()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="acprop-") as job.workers,
            Watch(give_up, before=job.end_workers, grace_s=OTHERS_S + 1),
        ):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=task)(job)()
            if LEADER and any(outcome is None or not outcome.mistake for outcome in job.outcomes.values()):
                report(task)
    except Interrupted as stop:
        if LEADER:
            say_interrupted(stop.code - 128)  # type: ignore[operator]
        raise
    except Exception as error:
        line = explain(error, task)
        if line is None:
            raise
        if LEADER:
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    failures = [outcome for outcome in job.outcomes.values() if outcome]
    for failure in failures if LEADER else ():
        print(f"error: {failure.line}", file=sys.stderr)
    if failures:
        sys.exit(2 if all(failure.mistake for failure in failures) else 1)


def give_up(number: int) -> None:
    """Ends this process from another thread than the one that is stuck."""
    say_interrupted(number)
    os._exit(128 + number)


def say_interrupted(number: int) -> None:
    name = signal.Signals(number).name
    print(f"interrupted by {name}: what is finished is kept, the same command goes on from there", file=sys.stderr)


def build(argument: str, node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Calls the `_target_` of the config group `argument`; what it refuses is the user's mistake, in one line."""
    try:
        # plain lists and dicts: torch's optimizers keep what they are given, and a checkpoint may hold no OmegaConf
        return hydra.utils.instantiate(node, _partial_=True, _convert_="all")(*args, **kwargs)
    except (InstantiationException, TypeError, ValueError) as error:
        reason = _one_line(str(error.__cause__ or error))
        raise UsageError(f"{argument}: {reason} (in {node.get('_target_')})") from error


def explain(error: Exception, task: str) -> str | None:
    """A user's mistake as one line that says what is possible instead; None for a bug."""
    if not isinstance(error, MISTAKES):  # Hydra's missing file is an OSError too
        return explain_system(error) or (_one_line(str(error)) if _composing(error) else None)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _explain_missing(error.missing_cfg_file, task)
    unknown_key = r"Could not (?:override|append to config|delete from config|add|set)\D*?'([\w.@/]+)'"
    if match := re.match(unknown_key, str(error)):
        return _explain_unknown_key(match[1], task)
    return _one_line(str(error))


def _composing(error: Exception) -> bool:
    """Whether Hydra or OmegaConf raised it, over the command line: not all that they raise has a class of its own."""
    *_, last = traceback.walk_tb(error.__traceback__)
    return last[0].f_globals["__name__"].split(".")[0] in ("hydra", "omegaconf")


def _explain_missing(name: str, task: str) -> str:
    group, _, option = name.rpartition("/")
    folder = group if (CONF / group).is_dir() else f"{task}/{group}"  # a group of this task's own
    here = [one for one in options(CONF / folder) if "/" not in one]
    close = difflib.get_close_matches(option, here, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{group}={option}: there is no conf/{folder}/{option}.yaml{hint}; choose one of {', '.join(here)}"


def _explain_unknown_key(key: str, task: str) -> str:
    node: Any = OmegaConf.to_container(composed(task))
    node.pop("hydra")
    *parents, leaf = key.replace("/", ".").split(".")
    for parent in parents:
        if not isinstance(node.get(parent), dict):
            break
        node = node[parent]
    known = [str(name) for name in node]
    close = difflib.get_close_matches(leaf, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{key}: there is no such setting{hint}; here are {', '.join(known)}"


def _one_line(message: str) -> str:
    return "; ".join(line.strip() for line in message.splitlines() if line.strip())
