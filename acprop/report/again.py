"""The command that does a run again, found by composing it."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from acprop.report.style import order
from acprop.runs.compose import composed
from acprop.runs.conf import CONF, options, read
from acprop.runs.identity import first_name, flatten, identity, resolved
from acprop.runs.record import Record


def again(records: Iterable[Record]) -> str:
    """What a caption says of how one of its runs is done again; nothing of records that no command of today makes."""
    done = [record for record in records if record.status == "done"]
    for record in sorted(done, key=lambda r: (r.summary["optimizer"] != "acprop", order(r.summary["optimizer"]))):
        told = command(record)
        return f"A run of it: {told}. " if told else ""
    return ""


def command(record: Record) -> str | None:
    """The shortest command line that computes what a run computed; None if there is none today."""
    s, scale = record.summary, record.config["scale"]["name"]
    words = (f"dataset={s['dataset']}", f"model={s['model']}", f"optimizer={s['optimizer']}", f"scale={scale}")
    wanted = json.dumps(identity(record.config))
    found = _overrides(s["task"], words, wanted)
    if found != words and (other := _overrides(s["task"], (*words, "tuned=none"), wanted)):
        found = min(found or other, other, key=len)
    if not found:
        return None
    return " ".join(["python -m", f"experiments.{s['task']}", *found, f"seed={s['seed']}"])


@cache
def _overrides(task: str, words: tuple[str, ...], wanted: str) -> tuple[str, ...] | None:
    """`words` and what must be set beside them to compose the identity `wanted`: groups of another target first, then
    the task's own settings, for others are made from both."""
    own = json.loads(wanted)
    for step in ("groups", "own", "all"):
        now = _identity(task, words)
        if now is None:
            return None
        if now == own:
            return words
        flat = flatten(now)
        differing = {key: value for key, value in flatten(own).items() if flat.get(key, ...) != value}
        if "revision" in differing:  # the code of today computes something else
            return None
        if step == "groups":
            for group in [key.removesuffix("._target_") for key in differing if key.endswith("._target_")]:
                targets = {one: read(f"{group}/{one}").get("_target_", "") for one in options(CONF / group)}
                same = [one for one, target in targets.items() if first_name(target) == own[group]["_target_"]]
                words += tuple(f"{group}={option}" for option in same[:1])
        else:
            chosen = {key: value for key, value in differing.items() if step == "all" or "." not in key}
            words += tuple(f"{key}={_word(one)}" for key, one in chosen.items() if not key.endswith("_target_"))
    return words if _identity(task, words) == own else None


@cache
def _identity(task: str, words: tuple[str, ...]) -> dict[str, Any] | None:
    """What the command line computes; None if it is none."""
    try:
        config = resolved(composed(task, *words))
    except (HydraException, OmegaConfBaseException):
        return None
    config.pop("hydra")
    return identity(config)


def _word(value: Any) -> str:
    """A value as Hydra's grammar has it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_word(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_word, value)) + "]"
    if isinstance(value, str) and not re.fullmatch(r"[\w.-]+", value):
        return "'" + value.replace("'", r"\'") + "'"
    return value if isinstance(value, str) else json.dumps(value)
