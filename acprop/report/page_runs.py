"""What the page shows of single runs: a row each, config, curves and environment."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from acprop.report.own import judged_by
from acprop.report.records import hardware
from acprop.report.style import dataset_name, look, model_name
from acprop.runs.identity import flatten
from acprop.runs.record import ENDED, Record

POINTS, CURVES = 60, 3  # of a curve, of a run
POSITIONS = ("step", "epoch", "lr", "wall_s")
ENVIRONMENT = ("commit", "versions", "device", "threads", "platform")
FACTS = (
    "status", "error", "seed", "scale", "hash", "selection", "started", "attempts", "epochs", "steps", "wall_s",
    "samples_per_s", "peak_memory_mib", "published_data", "collapsed", "train_size", "test_size",
)  # fmt: skip


class Group(NamedTuple):
    """Runs of one setting: their common folder, and (folder, name of the seed's folder) of each."""

    folder: str
    seeds: list[tuple[str, str]]


class Runs:
    """Every run that has ended, whatever its task."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = {record.folder: record for record in records if record.status in ENDED}

    def groups(self, folders: Iterable[str]) -> list[Group]:
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for folder in sorted(folders, key=natural):
            path = PurePosixPath(folder)
            found[path.parent.as_posix()].append((folder, path.name))
        return [Group(folder, seeds) for folder, seeds in found.items()]

    def table(self) -> list[dict[str, Any]]:
        """One row a run, as text."""
        return [_row(folder, self.records[folder]) for folder in sorted(self.records, key=natural)]

    def hardware(self) -> list[str]:
        return sorted({hardware(record) for record in self.records.values()})

    def details(self) -> dict[str, Any]:
        """folder -> facts, final values, curves, and the places of its config and environment in two lists."""
        configs: dict[str, int] = {}
        environments: dict[str, int] = {}
        runs = {}
        for folder in sorted(self.records, key=natural):
            record = self.records[folder]
            s = record.summary
            environment = flatten({key: s[key] for key in ENVIRONMENT if key in s})
            runs[folder] = {
                "config": configs.setdefault(_lines(_settings(record)), len(configs)),
                "environment": environments.setdefault(_lines(environment), len(environments)),
                "facts": {key: s[key] for key in FACTS if s.get(key) is not None},
                "final": {key: _short(value) for key, value in s["final"].items()},
                "best": s.get("best"),
                "curves": curves(record),
            }
        return {"configs": list(configs), "environments": list(environments), "runs": runs}


def curves(record: Record) -> dict[str, list[list[float | None]]]:
    """`split/metric` -> [positions, values], few points of few digits; what the run was judged by comes first."""
    judged = judged_by(record)
    found = {
        f"{split}/{metric}": (split, metric)
        for split, columns in record.curves.items() if not split.startswith("update")
        for metric, values in columns.items() if metric not in POSITIONS and len(values) - values.count(None) > 1
    }  # fmt: skip
    names = sorted(found, key=lambda name: (name != judged, not name.startswith(("test/", "valid", "eval/")), name))
    result: dict[str, list[list[float | None]]] = {}
    for name in names[:CURVES]:
        split, metric = found[name]
        over: Literal["step", "epoch"] = "step" if len(set(record.curves[split]["step"])) > 1 else "epoch"
        points = record.curve(split, metric, over)
        stride = max(1, math.ceil((len(points) - 1) / (POINTS - 1)))
        kept = points[:-1:stride] + points[-1:]
        result[name] = [[position for position, _ in kept], [_short(value) for _, value in kept]]
    return result


def _row(folder: str, record: Record) -> dict[str, Any]:
    s = record.summary
    key = judged_by(record)
    best = s.get("best") or {}
    return {
        "folder": folder, "task": s["task"], "data": dataset_name(s["dataset"]), "model": model_name(s["model"]),
        "optimizer": look(s["optimizer"]).label, "seed": s["seed"], "scale": s["scale"], "status": s["status"],
        "metric": key, "last": _short(s["final"].get(key)), "best": _short(best.get("value")),
        "minutes": round((s.get("wall_s") or 0) / 60, 1), "commit": s.get("commit"),
        "whose": "published" if record.published else "yours",
    }  # fmt: skip


def _settings(record: Record) -> dict[str, Any]:
    """The config without what is told elsewhere: the scales of all tasks, the seed, where it was logged."""
    left_out = ("scale", "seed", "tracking", "names", "force")
    return flatten({key: value for key, value in record.config.items() if key not in left_out})


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())


def _short(value: float | None) -> float | None:
    """Four significant digits."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")


def natural(folder: str) -> tuple[str, int]:
    """seed=10 after seed=9."""
    path = PurePosixPath(folder)
    return path.parent.as_posix(), int(path.name.removeprefix("seed="))
