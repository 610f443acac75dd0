"""Which run is this? A run is its settings: same settings, same folder, whenever and wherever it is started.

    runs/<task>/<dataset>-<model>/<optimizer>-<hash>/seed=<n>/

The hash covers every setting that changes the result and nothing else, so a sweep can be repeated and only what is
missing runs. It is a promise: a setting that is added later, at the value that means "as before", changes no hash, and
neither does code that moves, or an entry in a table of defaults (conf/identity.yaml lists all three). A change of code
that changes a task's numbers raises the `revision` in its conf/<task>.yaml.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from acprop.runs import conf

Config = dict[str, Any]

# Settings that say where, when, why and under which name a run happens, not what it computes. `scale` and `tuned` only
# feed other settings, which are hashed themselves. `device`, `threads` and `compile` change the last bits of a sum, not
# the experiment, `deterministic` those of a GPU; `workers` read files. `seed` is a folder of its own. `figure` is what
# old records were labelled with.
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
        "tuned",
        "telemetry",
        "compile",
        "deterministic",
        "workers",
        "figure",
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
    """The part of a resolved config that determines the result, in the one form that all versions of it have."""
    promised = conf.read("identity")
    later = promised["as_before"]["every"] | promised["as_before"].get(config["task"], {})
    left_out = NOT_IDENTITY.union(promised["tables"].get(config["task"], ()))
    return _plain({key: value for key, value in config.items() if key not in left_out}, later)


def _plain(node: Any, later: Config) -> Any:
    """Without settings at the value that they had before they were settings; with targets under their first name; `1`
    and `1.0` are the same."""
    if isinstance(node, dict):
        target = node.get("_target_")
        if target is not None:
            later = conf.read("identity")["as_before"].get(target, {})
        kept = {str(key): _plain(value, {}) for key, value in node.items()}
        kept = {key: value for key, value in kept.items() if key not in later or value != _plain(later[key], {})}
        return kept if target is None else {**kept, "_target_": first_name(str(target))}
    if isinstance(node, list | tuple):
        return [_plain(child, {}) for child in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def first_name(target: str) -> str:
    """A `_target_` as the records have it, wherever it lies today."""
    for now, before in conf.read("identity")["moved"].items():
        if target.startswith(now):
            return before + target.removeprefix(now)
    return target


def config_hash(config: Config) -> str:
    """Eight hex digits over `identity(config)`."""
    text = json.dumps(identity(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_dir(config: Config) -> Path:
    names = config["names"]
    cell = Path(config["task"], f"{names['dataset']}-{names['model']}", f"{names['optimizer']}-{config_hash(config)}")
    return runs_root() / cell / f"seed={config['seed']}"


def scale_label(config: Config) -> str:
    """The scale as tables must show it: `paper`, `laptop`, or with what was changed: `paper-epochs=3`."""
    changed = []
    for key, value in config["scale"].items():
        if isinstance(value, dict):  # a value a model, or a data set
            names = (config["names"]["model"], config["names"]["dataset"], "default")
            value = next((value[name] for name in names if name in value), None)
        if key not in {"name", *NOT_IDENTITY} and config.get(key) != value:
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
