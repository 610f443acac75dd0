"""From a command line to runs: Hydra composes, mistakes become one line and exit code 2, the report is rebuilt.

Imports nothing heavy, so that `--help` answers at once.
"""

import difflib
import multiprocessing
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from acprop.runs.conf import CONF, options
from acprop.runs.errors import UsageError

MISTAKES = (UsageError, HydraException, OmegaConfBaseException)
# torchrun numbers its processes: the first speaks for all
LEADER = "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"
# conf/hydra/launcher names its files as the plugins name their schemas, to be checked against them. Said on import: a
# launcher's worker composes too.
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")


class Failure(NamedTuple):
    """What a job returns in place of a result, as the last lines of a command tell it."""

    line: str
    mistake: bool  # a user's; else a bug or a lost process


failures: dict[str, Failure] = {}  # of this command, by job; a launcher adds those of its workers


def launch(task: str, run: Callable[[DictConfig], Any], report: Callable[[str], None]) -> None:
    """Runs `run` for every composed config of `conf/<task>.yaml`, then `report` of the task once, whatever became of the
    runs. What `run` returns is the job's score, for a sweeper that chooses by it.

    A failing run of a sweep does not stop the others; all failures are named at the end. Exit code: 0; 2 for a user's
    mistake; 1 for a bug, with its traceback; 128 + signal when interrupted.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own handler would print and exit before this one sees the error
    here, settings = os.getcwd(), {name: value for name, value in os.environ.items() if name.startswith("ACPROP_")}

    def job(cfg: DictConfig) -> Any:
        # Called in this process, or in a worker that may stand elsewhere and know nothing of this one's environment.
        os.chdir(here)
        os.environ.update(settings)
        if multiprocessing.get_start_method(allow_none=True) == "loky":
            # joblib's own, by which the processes of a torch loader do not start
            multiprocessing.set_start_method(None, force=True)
        overrides = " ".join(HydraConfig.get().overrides.task)
        try:
            return run(cfg)
        except Exception as error:
            mistake = isinstance(error, MISTAKES)
            if not mistake:
                traceback.print_exc()
            name = "" if HydraConfig.get().mode == RunMode.RUN else f"{overrides}: "
            message = explain(error, task) if mistake else f"{type(error).__name__}: {error}"
            failures[overrides] = Failure(name + message, mistake)
            return failures[overrides]

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=task)(job)()
    except KeyboardInterrupt:
        sys.exit(130)
    except MISTAKES as error:
        if LEADER:
            print(f"error: {explain(error, task)}", file=sys.stderr)
        sys.exit(2)
    finally:
        if LEADER and not {"--help", "-h", "--hydra-help", "--version", "--info", "--cfg", "-c"} & set(sys.argv):
            report(task)
    for failure in failures.values() if LEADER else ():
        print(f"error: {failure.line}", file=sys.stderr)
    if failures:
        sys.exit(2 if all(failure.mistake for failure in failures.values()) else 1)


def build(argument: str, node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Calls the `_target_` of the config group `argument`; what it refuses is the user's mistake, in one line."""
    try:
        # plain lists and dicts: torch's optimizers keep what they are given, and a checkpoint may hold no OmegaConf
        return hydra.utils.instantiate(node, _partial_=True, _convert_="all")(*args, **kwargs)
    except (InstantiationException, TypeError, ValueError) as error:
        reason = _one_line(str(error.__cause__ or error))
        raise UsageError(f"{argument}: {reason} (in {node.get('_target_')})") from error


def explain(error: Exception, task: str) -> str:
    """A Hydra or OmegaConf error as one line that says what exists instead."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _explain_missing(error.missing_cfg_file, task)
    unknown_key = r"Could not (?:override|append to config|delete from config|add|set)\D*?'([\w.@/]+)'"
    if match := re.match(unknown_key, str(error)):
        return _explain_unknown_key(match[1], task)
    return _one_line(str(error))


def _explain_missing(name: str, task: str) -> str:
    group, _, option = name.rpartition("/")
    folder = group if (CONF / group).is_dir() else f"{task}/{group}"  # a group of this task's own
    here = [one for one in options(CONF / folder) if "/" not in one]
    close = difflib.get_close_matches(option, here, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{group}={option}: there is no conf/{folder}/{option}.yaml{hint}; choose one of {', '.join(here)}"


def _explain_unknown_key(key: str, task: str) -> str:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node: Any = compose(task)
    *parents, leaf = key.replace("/", ".").split(".")
    for parent in parents:
        child = node.get(parent) if isinstance(node, DictConfig) else None
        if not isinstance(child, DictConfig):
            break
        node = child
    known = [str(name) for name in node]
    close = difflib.get_close_matches(leaf, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{key}: there is no such setting{hint}; here are {', '.join(known)}"


def _one_line(message: str) -> str:
    return "; ".join(line.strip() for line in message.splitlines() if line.strip())
