"""What the page shows of single runs: a row each, config, curves and environment; and which runs fed which file."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import experiments.gan.report as gan
import experiments.theory.report as theory
import experiments.transformer.report as translation
from acprop.report.records import by_budget, file_name
from acprop.report.style import DATASETS, MODELS, look
from acprop.runs.identity import flatten, runs_root
from acprop.runs.record import Record
from experiments.theory.curves import OUTPUTS

POINTS, CURVES = 60, 3  # of a curve, of a run
RL_FILES = {"fig9": ("fig9", "fig9_policy"), "eps": ("rl_eps",), "sweep": ("rl_sweep",)}
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
    """Every run under the root that has ended, whatever its task."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._feeds: dict[str, list[str]] = defaultdict(list)
        tasks = [path.name for path in sorted(runs_root().glob("[!.]*")) if path.is_dir()]
        for task in tasks:
            for (dataset, scale), records in by_budget(task).items():
                for record in records:
                    folder = record.path.relative_to(runs_root()).as_posix()
                    self.records[folder] = record
                    for name in feeds(record, dataset, scale):
                        self._feeds[name].append(folder)

    def behind(self, name: str) -> list[str]:
        """Folders of the runs that a file of results/ was made from. Two settings of one study share a name but for
        the hash at its end."""
        stem, _, key = name.partition("-hash=")
        return [folder for folder in self._feeds[stem] if not key or self.records[folder].summary["hash"] == key[:8]]

    def groups(self, folders: Iterable[str]) -> list[Group]:
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for folder in sorted(folders, key=_natural):
            path = PurePosixPath(folder)
            found[path.parent.as_posix()].append((folder, path.name))
        return [Group(folder, seeds) for folder, seeds in found.items()]

    def table(self) -> list[dict[str, Any]]:
        """One row a run, as text."""
        return [_row(folder, self.records[folder]) for folder in sorted(self.records, key=_natural)]

    def hardware(self) -> list[str]:
        return sorted({f"{r.summary['device']}, {r.summary['threads']} thread(s)" for r in self.records.values()})

    def details(self) -> dict[str, Any]:
        """folder -> facts, final values, curves, and the places of its config and environment in two lists."""
        configs: dict[str, int] = {}
        environments: dict[str, int] = {}
        runs = {}
        for folder in sorted(self.records, key=_natural):
            record = self.records[folder]
            s = record.summary
            environment = flatten({key: s[key] for key in ENVIRONMENT if key in s})
            runs[folder] = {
                "config": configs.setdefault(_lines(_settings(record)), len(configs)),
                "environment": environments.setdefault(_lines(environment), len(environments)),
                "facts": {key: s[key] for key in FACTS if s.get(key) is not None},
                "final": {key: _short(value) for key, value in s["final"].items()},
                "best": s["best"],
                "curves": curves(record),
            }
        return {"configs": list(configs), "environments": list(environments), "runs": runs}


def feeds(record: Record, dataset: str, scale: str) -> list[str]:
    """Names of the files in results/ that this record is a part of; as the reports of its task name them."""
    s, task = record.summary, record.summary["task"]
    if task == "theory":
        suffix = "" if scale == "paper" else f"_{scale}"
        if s["model"] == "map":
            figure = f"{theory.FIGURES[dataset].replace(' ', '').lower()}_{s['optimizer']}"
            names = [figure, f"{figure}_beta1", "theory_maps", "theory_maps_beta1"]
        else:
            names = [name for _, name, _ in OUTPUTS[s["model"]]]
        return [name + suffix for name in names]
    if task == "gan":
        metric = gan.METRICS[record.config["fid_network"]]
        name = file_name("table4" if metric == "fid" else f"table4_{metric}", dataset, scale)
        return [name, f"{name}_kid", f"{name}_samples_{s['optimizer']}"]
    if task == "rl":
        end = "" if s["model"] == "dqn" else f"-{s['model']}"
        return [file_name(f"{stem}{end}", dataset, scale) for stem in RL_FILES.get(record.config["figure"], ())]
    if task == "transformer":
        families = [family for family, pairs in translation.FAMILIES.items() if dataset in pairs]
        names = [file_name("table3", family, scale) for family in families]
        return [*names, *(f"{name}_samples" for name in names)]
    stem = record.config.get("figure") or {"imagenet": "table2"}.get(task, task)
    return [file_name(stem, dataset, scale)]


def curves(record: Record) -> dict[str, list[list[float | None]]]:
    """`split/metric` -> [positions, values], few points of few digits; what the run was judged by comes first."""
    found: dict[str, list[tuple[float, float, float | None]]] = defaultdict(list)
    path = record.path / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        if not entry["split"].startswith("update"):
            found[f"{entry['split']}/{entry['metric']}"].append((entry["epoch"], entry["step"], entry["value"]))
    judged = record.summary.get("selection") or ""
    names = sorted(
        (name for name, points in found.items() if len(points) > 1),
        key=lambda name: (f" {name} " not in judged, not name.startswith(("test/", "valid", "eval/")), name),
    )
    result = {}
    for name in names[:CURVES]:
        points = found[name]
        over = 1 if len({step for _, step, _ in points}) > 1 else 0
        stride = max(1, math.ceil((len(points) - 1) / (POINTS - 1)))
        kept = points[:-1:stride] + points[-1:]
        result[name] = [[point[over] for point in kept], [_short(point[2]) for point in kept]]
    return result


def _row(folder: str, record: Record) -> dict[str, Any]:
    s = record.summary
    judged = (s.get("selection") or "").split(" ")[2:3]
    key = judged[0] if judged else next(iter(s["final"]), "")
    return {
        "folder": folder, "task": s["task"], "data": DATASETS.get(s["dataset"], s["dataset"]),
        "model": MODELS.get(s["model"], s["model"]), "optimizer": look(s["optimizer"]).label, "seed": s["seed"],
        "scale": s["scale"], "status": s["status"], "metric": key, "last": _short(s["final"].get(key)),
        "best": _short(s["best"].get("value")) if s["best"] else None, "minutes": round(s["wall_s"] / 60, 1),
        "commit": s["commit"],
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


def _natural(folder: str) -> tuple[str, int]:
    """seed=10 after seed=9."""
    path = PurePosixPath(folder)
    return path.parent.as_posix(), int(path.name.removeprefix("seed="))
