"""What conf/ says to those who read it without composing a run: rosters, published settings, protocols of sweeps.

Imports nothing heavy.
"""

import itertools
import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from acprop.runs.errors import UsageError

CONF = Path(__file__).resolve().parents[2] / "conf"
os.environ.setdefault("ACPROP_CONF", str(CONF))  # conf/<task>.yaml finds conf/<task>/ by it, wherever a worker stands


@cache
def read(name: str) -> Any:
    """conf/<name>.yaml as it stands, nothing filled in."""
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


def exists(name: str) -> bool:
    return (CONF / f"{name}.yaml").exists()


def options(folder: Path) -> list[str]:
    """The files of a config group, and of the groups in it."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def roster(name: str) -> tuple[str, ...]:
    """The optimizers that a table or figure of the paper has, in the paper's order."""
    return tuple(read(f"roster/{name}"))


def require_tuned(config: dict[str, Any]) -> None:
    """Raises `UsageError` if a run borrows the settings of a table (`tuned=cifar10`) that has none for its cell."""
    of, source = (config.get("tuned", {}).get(key) for key in ("of", "source"))
    if of and not source:
        folder, names = CONF / config["task"] / "tuned" / of, config["names"]
        raise UsageError(
            f"optimizer={names['optimizer']}: no settings under {of} for model={names['model']}; there are "
            f"{', '.join(options(folder))}; tuned=none runs conf/optimizer/{names['optimizer']}.yaml as it stands"
        )


# -- sweeps ------------------------------------------------------------------------------------------------------------


@cache
def protocols() -> dict[str, dict[str, Any]]:
    """name -> the protocol of conf/sweep/<name>.yaml: task, cells, grids, tuning, report."""
    return {name: read(f"sweep/{name}")["sweep"] for name in options(CONF / "sweep")}


@cache
def every(overrides: str) -> list[dict[str, Any]]:
    """`a=1,2 b=3` as [{"a": 1, "b": 3}, {"a": 2, "b": 3}], by Hydra's own grammar of lists and ranges."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import QuotedString, Transformer

    choices = []
    for one in OverridesParser.create().parse_overrides(overrides.split()):
        values = one.sweep_iterator(Transformer.identity) if one.is_sweep_override() else [one.value()]
        plain = [value.text if isinstance(value, QuotedString) else value for value in values]
        choices.append([(one.key_or_group, value) for value in plain])
    return [dict(choice) for choice in itertools.product(*choices)]
