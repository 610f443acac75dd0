"""What a record is for, asked of its settings: the published cell, a setting that a sweep of conf/sweep tried, one that
a sweep chose."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from acprop.runs import conf
from acprop.runs.identity import flatten, identity
from acprop.runs.record import Record

Setting = tuple[tuple[str, str], ...]
Cell = tuple[str, str, str, str]  # dataset, scale, model, optimizer


def cell_settings(record: Record, of: str | None = None) -> dict[str, Any] | None:
    """The optimizer's settings in conf/<task>/tuned/<of> for the cell of a run, None if there are none. `of`: by
    default the table that the run took its settings from."""
    s = record.summary
    of = of or (record.config.get("tuned") or {}).get("of") or s["dataset"]
    name = f"{s['task']}/tuned/{of}/{s['model']}/{s['optimizer']}"
    return conf.read(name)["optimizer"] if conf.exists(name) else None


def is_tuned(record: Record, of: str | None = None) -> bool:
    """Whether a run has the settings of its cell. True where there is none: nothing to differ from."""
    return agrees({"optimizer": cell_settings(record, of) or {}}, record.config)


def borrowed(record: Record) -> str | None:
    """The data set whose settings a run took, if it is not its own."""
    of = (record.config.get("tuned") or {}).get("of")
    return of if of != record.summary["dataset"] else None


def agrees(wanted: Any, config: Any) -> bool:
    """Whether `config` has every value of `wanted`, but for those that Hydra fills in."""
    if isinstance(wanted, dict):
        return isinstance(config, dict) and all(
            key.startswith("_") or (key in config and agrees(value, config[key])) for key, value in wanted.items()
        )
    return (isinstance(wanted, str) and wanted.startswith("${")) or wanted == config


def of_optimizer(record: Record) -> Setting:
    """The optimizer's settings, to tell one from another."""
    flat = flatten(identity(record.config)["optimizer"])
    return tuple(sorted((key, repr(value)) for key, value in flat.items()))


def tunes(record: Record) -> bool:
    """Whether a run was there to choose settings by: it was judged on data that were held out, or is of the kind that a
    sweep's `tuning` describes."""
    split = {key.partition("/")[0] for key in record.summary["final"]}
    share = 0 < (record.config.get("held_out") or 0) < 1  # elsewhere it is a count of pairs
    if "validation" in split or (share and "test" not in split):  # the latter diverged at once
        return True
    protocols = conf.protocols().values()
    rules = [p["tuning"] for p in protocols if p["task"] == record.summary["task"] and p["tuning"]]
    return any(_all_of(rule, record) for rule in rules)


def _all_of(overrides: str, record: Record) -> bool:
    """Whether a run has one of each of the values that `overrides` lists."""
    return any(all(_has(record, key, value) for key, value in one.items()) for one in conf.every(overrides))


def _has(record: Record, key: str, value: Any) -> bool:
    if key in ("seed", "model", "optimizer", "dataset"):
        return record.summary[key] == value
    if key == "scale":
        return record.config["scale"]["name"] == value
    node: Any = record.config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node == value


def in_grid(name: str, record: Record) -> bool:
    """Whether a run is one that the sweep of conf/sweep/<name>.yaml reports, on whatever data and scale."""
    protocol = conf.protocols()[name]
    models = {str(one.get("model")) for one in conf.every(protocol["cells"])}
    if protocol["task"] != record.summary["task"] or record.summary["model"] not in models or tunes(record):
        return False
    # all that a grid does not vary is as the cell has it
    return any(_all_of(grid, record) and _else_tuned(record, grid) for grid in protocol["grids"])


def _else_tuned(record: Record, grid: str) -> bool:
    varied = {word.partition("=")[0].removeprefix("optimizer.") for word in grid.split()}
    cell = {key: value for key, value in (cell_settings(record) or {}).items() if key not in varied}
    return agrees({"optimizer": cell}, record.config)


def choices(records: Iterable[Record], score: Callable[[Record], float | None]) -> dict[Cell, Setting]:
    """The setting that tuning chose: the largest mean score over its seeds, of equal ones that of the runs that were
    not there to choose by, if `records` has any. A setting of which a run did not end well is not chosen."""
    worth: dict[Cell, dict[Setting, list[float]]] = defaultdict(lambda: defaultdict(list))
    reported = set()
    for record in records:
        s = record.summary
        cell = (s["dataset"], record.config["scale"]["name"], s["model"], s["optimizer"])
        if tunes(record):
            value = score(record) if record.status == "done" else None
            worth[cell][of_optimizer(record)].append(-math.inf if value is None else value)
        else:
            reported.add((s["dataset"], s["model"], s["optimizer"], of_optimizer(record)))
    chosen = {}
    for cell, settings in worth.items():
        dataset, _, model, optimizer = cell
        means = {setting: fmean(values) for setting, values in settings.items()}
        best = max(means, key=lambda setting: (means[setting], (dataset, model, optimizer, setting) in reported))
        if means[best] > -math.inf:
            chosen[cell] = best
    return chosen
