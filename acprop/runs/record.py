"""What a run leaves on disk, written so that a kill at any moment loses nothing that was promised.

config.yaml     the resolved config
metrics.jsonl   one object a line: step, epoch, split, metric, value, lr, wall_s
run.json        status, final and best values, environment; always a whole file
checkpoint.pt   see checkpoint.py
arrays.npz      what a run keeps beside numbers: a map's cells, paths
"""

import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from acprop.runs.identity import Config, runs_root

FINISHED = ("done", "diverged")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces `path` as one act: readers and kills see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes private files; records are shared like any other
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


class MetricsFile:
    """metrics.jsonl, append-only but for one case: a resumed run first drops the lines younger than its checkpoint,
    since it is about to compute them again."""

    def __init__(self, path: Path, keep_bytes: int) -> None:
        self.file = path.open("ab")
        self.file.truncate(min(keep_bytes, self.file.tell()))  # a file that was lost is not filled up with zeros

    def append(self, value: float, **fields: Any) -> None:
        line = {**fields, "value": finite_or_none(value)}
        if line["value"] is None:
            line["flag"] = str(float(value))  # nan, inf or -inf: JSON has no word for them
        self.file.write((json.dumps(line) + "\n").encode())

    def flush(self) -> int:
        """Hands all lines to the operating system and returns the file's length in bytes."""
        self.file.flush()
        return self.file.tell()

    def close(self) -> None:
        self.file.close()


@dataclass(frozen=True)
class Record:
    """One run as read back from its folder."""

    path: Path
    summary: dict[str, Any]

    @cached_property
    def config(self) -> Config:
        # libyaml's loader, ten times as fast, where PyYAML was built with it
        return yaml.load((self.path / "config.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """What `Run.keep` put beside the metrics."""
        import numpy as np

        with np.load(self.path / "arrays.npz") as file:
            return dict(file)

    @property
    def status(self) -> str:
        return self.summary["status"]

    def curve(self, split: str, metric: str, over: Literal["epoch", "step"] = "epoch") -> list[tuple[float, float]]:
        """(epoch or step, value) pairs in the order of time; values that were not finite are NaN."""
        points = []
        for line in (self.path / "metrics.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["split"] == split and entry["metric"] == metric:
                points.append((entry[over], float(entry.get("flag", entry["value"]))))
        return points


def load_records(task: str) -> Iterator[Record]:
    """Every record of a task under `$ACPROP_RUNS`, in the order of its path."""
    for path in sorted((runs_root() / task).glob("*/*/seed=*/run.json")):
        yield Record(path.parent, json.loads(path.read_text()))
