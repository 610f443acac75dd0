"""Which run is this? A run is its settings: same settings, same folder, whenever and wherever it is started.

    runs/<task>/<dataset>-<model>/<optimizer>-<hash>/seed=<n>/

The hash covers every setting that changes the result and nothing else, so a sweep can be repeated and only what is
missing runs.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

Config = dict[str, Any]

# Settings that say where, when and under which name a run happens, not what it computes. `scale` only feeds the
# settings at the top level, which are hashed themselves. `device`, `threads` and `compile` change the last bits of a
# sum, not the experiment; `workers` read files. `seed` is a folder of its own.
NOT_IDENTITY = frozenset(
    {
        "seed",
        "force",
        "device",
        "threads",
        "checkpoint_every_s",
        "tracking",
        "names",
        "scale",
        "telemetry",
        "compile",
        "workers",
    }
)


def resolved(cfg: DictConfig) -> Config:
    """A composed config as plain dicts and lists, interpolations filled in."""
    return cast(Config, OmegaConf.to_container(cfg, resolve=True))


def runs_root() -> Path:
    """Where records live: `$ACPROP_RUNS`, default `runs/`."""
    return Path(os.environ.get("ACPROP_RUNS") or "runs")


def data_root() -> Path:
    """Where data sets live: `$ACPROP_DATA`, default `data/`."""
    return Path(os.environ.get("ACPROP_DATA") or "data")


def identity(config: Config) -> Config:
    """The part of a resolved config that determines the result."""
    return {key: value for key, value in config.items() if key not in NOT_IDENTITY}


def config_hash(config: Config) -> str:
    """Eight hex digits over `identity(config)`; `1` and `1.0` are the same setting."""

    def canonical(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): canonical(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [canonical(child) for child in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    text = json.dumps(canonical(identity(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_dir(config: Config) -> Path:
    names = config["names"]
    cell = Path(config["task"], f"{names['dataset']}-{names['model']}", f"{names['optimizer']}-{config_hash(config)}")
    return runs_root() / cell / f"seed={config['seed']}"


def scale_label(config: Config) -> str:
    """The scale as tables must show it: `paper`, `laptop`, or with what was changed: `paper-epochs=3`."""
    budget = config["scale"].get(config["task"]) or {}
    changed = []
    for key, value in budget.items():
        if isinstance(value, dict):  # a value a model
            value = value.get(config["names"]["model"], value.get("default"))
        if key not in NOT_IDENTITY and config.get(key) != value:
            changed.append(f"{key}={config.get(key)}")
    return "-".join([config["scale"]["name"], *changed])


def flatten(config: Config, prefix: str = "") -> dict[str, Any]:
    """`{"optimizer": {"lr": 1}}` as `{"optimizer.lr": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
