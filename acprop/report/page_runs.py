"""What the page shows of runs: a row for each cell (the seeds of one setting), and, when it is opened, its seeds,
curves, config and environment. Curves are thinned so that the page stays small however many runs there are."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from acprop.report.own import judged_by
from acprop.report.records import by_cell, cell_text, hardware, row_label
from acprop.report.stats import summarize
from acprop.report.style import dataset_name, model_name
from acprop.runs.identity import flatten
from acprop.runs.record import ENDED, POSITIONS, Record, pairs

POINTS, CURVES = 60, 2  # of a curve at the most, of a cell
NUMBERS = 100_000  # of all curves together
MANY = 2_000  # runs; beyond, the curves of a cell are those of its first seed
ENVIRONMENT = ("commit", "versions", "device", "threads", "platform")
FACTS = ("scale", "hash", "selection", "parameters", "train_size", "test_size", "published_data", "samples_per_s")


class Group(NamedTuple):
    """Runs of one cell, as a link shows them: their common folder, and their seeds."""

    folder: str
    seeds: list[int]


class Runs:
    """Every run that has ended, whatever its task, by cell."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = {record.folder: record for record in records if record.status in ENDED}
        self.cells: dict[str, list[Record]] = defaultdict(list)
        for folder in sorted(self.records, key=natural):
            self.cells[folder.rpartition("/")[0]].append(self.records[folder])

    def groups(self, folders: Iterable[str]) -> list[Group]:
        found: dict[str, list[int]] = defaultdict(list)
        for folder in sorted(folders, key=natural):
            found[folder.rpartition("/")[0]].append(natural(folder)[1])
        return [Group(folder, seeds) for folder, seeds in found.items()]

    def table(self) -> list[dict[str, Any]]:
        """One row a cell, as text; its optimizer with the settings that tell it from others of the same name."""
        labels = self._labels()
        return [_row(folder, labels[folder], group) for folder, group in self.cells.items()]

    def _labels(self) -> dict[str, str]:
        together: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for record in self.records.values():
            s = record.summary
            together[s["task"], s["dataset"], s["scale"]].append(record)
        labels: dict[str, str] = {}
        for group in together.values():
            for (_, label), records in by_cell(group).items():
                labels |= {record.folder.rpartition("/")[0]: row_label(label) for record in records}
        return labels

    def hardware(self) -> list[str]:
        return sorted({hardware(record) for record in self.records.values()})

    def details(self) -> dict[str, Any]:
        """Each cell's seeds, facts and curves; its config as a common one and what differs from it; its environment and
        the positions of its curves as places in lists."""
        bases: dict[tuple[str, ...], tuple[int, dict[str, Any]]] = {}
        configs: list[str] = []
        environments: dict[str, int] = {}
        positions: dict[tuple[float, ...], int] = {}
        points = max(8, min(POINTS, NUMBERS // (CURVES * max(1, min(len(self.records), MANY)))))
        cells = {}
        for folder, group in self.cells.items():
            s, settings = group[0].summary, _settings(group[0])
            kind = (s["task"], s["dataset"], s["model"], s["optimizer"], s["scale"])
            if kind not in bases:
                bases[kind] = (len(configs), settings)
                configs.append(_lines(settings))
            number, base = bases[kind]
            missing = dict.fromkeys(sorted(base.keys() - settings.keys()))
            differs = {key: value for key, value in settings.items() if key not in base or base[key] != value}
            environment = flatten({key: s[key] for key in ENVIRONMENT if key in s})
            shown = curves(group if len(self.records) <= MANY else group[:1], points)
            cells[folder] = {
                "config": number,
                "differs": _lines({**differs, **missing}),
                "environment": environments.setdefault(_lines(environment), len(environments)),
                "facts": {key: s[key] for key in FACTS if s.get(key) is not None},
                "seeds": [_seed(record) for record in group],
                "curves": {
                    name: [positions.setdefault(tuple(at), len(positions)), values]
                    for name, (at, values) in shown.items()
                },
            }
        return {
            "configs": configs, "environments": list(environments), "positions": list(positions), "cells": cells,
        }  # fmt: skip


def curves(group: Sequence[Record], points: int = POINTS) -> dict[str, list[Any]]:
    """`split/metric` -> [positions, values of each seed], few points of few digits; what the runs were judged by comes
    first."""
    first, judged = group[0], judged_by(group[0])
    found = {
        f"{split}/{metric}": (split, metric)
        for split, columns in first.curves.items() if not split.startswith("update")
        for metric, values in columns.items() if metric not in POSITIONS and len(values) - values.count(None) > 1
    }  # fmt: skip
    names = sorted(found, key=lambda name: (name != judged, not name.startswith(("test/", "valid", "eval/")), name))
    result: dict[str, list[Any]] = {}
    for name in names[:CURVES]:
        split, metric = found[name]
        over: Literal["step", "epoch"] = "step" if len(set(first.curves[split]["step"])) > 1 else "epoch"
        every = [pairs(record.curves.get(split, {}), metric, over) for record in group]
        longest = max(every, key=len)
        stride = max(1, math.ceil((len(longest) - 1) / (points - 1)))
        kept = [*range(0, len(longest) - 1, stride), len(longest) - 1]
        values = [[_short(curve[index][1]) if index < len(curve) else None for index in kept] for curve in every]
        result[name] = [[longest[index][0] for index in kept], values]
    return result


def _row(folder: str, label: str, group: Sequence[Record]) -> dict[str, Any]:
    s, key = group[0].summary, judged_by(group[0])
    values = [record.summary["final"].get(key) for record in group if record.status == "done"]
    return {
        "folder": folder, "task": s["task"], "data": dataset_name(s["dataset"]), "model": model_name(s["model"]),
        "optimizer": label, "scale": s["scale"], "runs": len(group), "metric": key,
        "last": cell_text(list(group), summarize([value for value in values if value is not None]), 3),
        "minutes": round(sum(record.summary.get("wall_s") or 0 for record in group) / 60, 1),
        "whose": "published" if group[0].published else "yours",
    }  # fmt: skip


def _seed(record: Record) -> list[Any]:
    """seed, status (with the reason, if it did not end well), last and best value, minutes."""
    s, key = record.summary, judged_by(record)
    why = f": {s['error']}" if s.get("error") else ""
    best = (s.get("best") or {}).get("value")
    minutes = round((s.get("wall_s") or 0) / 60, 1)
    return [s["seed"], s["status"] + why, _short(s["final"].get(key)), _short(best), minutes]


def _settings(record: Record) -> dict[str, Any]:
    """The config without what is told elsewhere: budgets by scale, the seed, where it was logged."""
    left_out = ("scale", "seed", "tracking", "names", "force", "tuned")
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
