"""What a run leaves on disk, written so that a kill at any moment loses nothing that was promised.

config.yaml     the resolved config
metrics.jsonl   one object a line: step, epoch, split, metric, value, lr, wall_s
run.json        status, final and best values, environment; always a whole file
checkpoint.pt   see checkpoint.py
arrays.npz      what a run keeps beside numbers: a map's cells, paths

Published records are the same records packed: a file of JSON lines for each data set and model, which
`pandas.read_json(path, lines=True)` reads, a run a line: folder, config, summary, curves. Beside it, in the run's own
folder, lie the arrays and pictures that an artefact shows.
"""

import gzip
import json
import math
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml

from acprop.runs.errors import UsageError
from acprop.runs.identity import Config, config_hash, runs_root

SCHEMA = 2  # of run.json; 1: runs had a `figure`, and their hash covered it
FINISHED = ("done", "diverged")
ENDED = (*FINISHED, "failed", "interrupted")
STATUSES = (*ENDED, "running")
FIELDS = {  # of run.json, that a report builds on
    "status": str, "task": str, "dataset": str, "model": str, "optimizer": str, "seed": int, "scale": str, "hash": str,
    "final": dict,
}  # fmt: skip


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
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(path)
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


class Unreadable(Exception):  # noqa: N818 - said of one record, and no reason to stop
    """A record that cannot be used. The message names file, fault and remedy; `path` is the file."""

    def __init__(self, path: Path, why: Any) -> None:
        reason = " ".join(str(why).split()) or type(why).__name__
        super().__init__(f"{path}: {reason}; the run is left out; move its folder away, and run its cell again")
        self.path = path


POSITIONS = ("step", "epoch", "lr", "wall_s")  # where a value was logged
Curves = dict[str, dict[str, list[Any]]]  # split -> column (one of POSITIONS, or a metric) -> values


class Record:
    """One run as read back: from its folder, or from a line of a published file.

    Attributes:
        folder: `<task>/<dataset>-<model>/<optimizer>-<hash>/seed=<n>`, what the record is known by.
        path: where the files lie that it keeps beside its numbers.
        summary: run.json.
        used: names of the files that were read.
    """

    def __init__(
        self, root: Path, folder: str, line: dict[str, Any] | None = None, siblings: dict[str, Config] | None = None
    ) -> None:
        """line: of a published file. siblings: cell -> the config of one of its runs, filled in as they are read."""
        self.folder, self.path = folder, root / folder
        self._siblings = {} if siblings is None else siblings
        self.published = line is not None
        self.used: set[str] = set()
        self._line = line
        self.summary: dict[str, Any] = line["summary"] if line else _json(self.path / "run.json")
        _check(self.summary, self.path / "run.json", folder)

    @property
    def config(self) -> Config:
        """Of the cell: what changes a result is the same for all its runs, and reading a file takes time."""
        cell = self.folder.rpartition("/")[0]
        if cell not in self._siblings:
            self._siblings[cell] = self.own_config
        return self._siblings[cell]

    @cached_property
    def own_config(self) -> Config:
        """As the run itself has left it."""
        if self._line:
            return self._line["config"]
        path = self.path / "config.yaml"
        try:
            # libyaml's loader, ten times as fast, where PyYAML was built with it
            config = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise Unreadable(path, error) from error
        try:
            found = config_hash(config), config["scale"]["name"]
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreadable(path, "no config of a run") from error
        if self.summary.get("schema", 1) == SCHEMA and found[0] != self.summary["hash"]:
            raise Unreadable(path, f"not the config of this run: its hash is {found[0]}")
        return config

    @cached_property
    def hash(self) -> str:
        """Of the cell, as today's code gives it."""
        return self.summary["hash"] if self.summary.get("schema", 1) == SCHEMA else config_hash(self.config)

    @property
    def status(self) -> str:
        return self.summary["status"]

    @cached_property
    def stamp(self) -> str:
        """Changes whenever the record does."""
        if self._line:
            return json.dumps([self.folder, self.summary])
        path = self.path / "run.json"
        return f"{self.folder} {path.stat().st_mtime_ns}" if path.exists() else self.folder

    @property
    def key(self) -> tuple[str, str, str, str, str, int]:
        """Which run it is, whoever made it and wherever it lies."""
        s = self.summary
        return (s["task"], s["dataset"], s["model"], s["optimizer"], self.hash, s["seed"])

    @property
    def curves(self) -> Curves:
        """Every logged value, in the order of time. None: not logged then; a string: not finite."""
        return self._line["curves"] if self._line else self._read_curves()

    def _read_curves(self, *only: str) -> Curves:
        """only: the split and the metric of one curve; of the other lines nothing is kept."""
        path = self.path / "metrics.jsonl"
        curves = _curves(path, path.stat().st_size, only) if path.exists() else {}
        for name in self.summary["final"] if self.status == "done" else ():
            split, _, metric = name.rpartition("/")  # a split may have a name of several parts
            if only in ((), (split, metric)) and metric not in curves.get(split, {}):
                raise Unreadable(path, f"{name} is missing, which run.json has")
        return curves

    def curve(self, split: str, metric: str, over: Literal["epoch", "step"] = "epoch") -> list[tuple[float, float]]:
        """(epoch or step, value) pairs in the order of time; values that were not finite are NaN or infinite."""
        curves = self._line["curves"] if self._line else self._read_curves(split, metric)
        return pairs(curves.get(split, {}), metric, over)

    def read(self, name: str) -> bytes | None:
        """A file that the run keeps beside its numbers, None if it has none of this name."""
        path = self.path / name
        if not path.exists():
            return None
        self.used.add(name)
        return path.read_bytes()

    def parse(self, name: str, how: Callable[[bytes], Any]) -> Any:
        """What `how` makes of such a file.

        Raises:
            Unreadable: the file is not there, or `how` raises.
        """
        try:
            return how(self.read(name) or b"")
        except Exception as error:  # numpy, zipfile, zlib and PIL each have their own
            raise Unreadable(self.path / name, error) from error

    def names(self, pattern: str) -> list[str]:
        """Names of such files, in order."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.glob(pattern))

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """What `Run.keep` put beside the metrics."""
        import numpy as np

        def load(content: bytes) -> dict[str, Any]:
            with np.load(BytesIO(content)) as file:
                return dict(file)

        return self.parse("arrays.npz", load)


def pairs(columns: dict[str, list[Any]], metric: str, over: Literal["epoch", "step"]) -> list[tuple[float, float]]:
    """A curve out of the columns of a split; see `Record.curve`."""
    if metric not in columns:
        return []
    both = zip(columns[over], columns[metric], strict=True)
    return [(position, float(value)) for position, value in both if value is not None]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Unreadable(path, error) from error


def _check(summary: Any, path: Path, folder: str) -> None:
    if not isinstance(summary, dict):
        raise Unreadable(path, "no record of a run")
    for name, kind in FIELDS.items():
        if not isinstance(summary.get(name), kind):
            raise Unreadable(path, f"{name}={summary.get(name)!r} is no {kind.__name__}")
    if summary["status"] not in STATUSES:
        raise Unreadable(path, f"status={summary['status']!r} is none of {', '.join(STATUSES)}")
    best = summary.get("best") or {}
    if not isinstance(best, dict):
        raise Unreadable(path, f"best={best!r} is no dict")
    numbers = [*summary["final"].values(), *(best.get(name) for name in ("value", "epoch", "step") if best)]
    if any(value is not None and not _is_number(value) for value in numbers) or (best and None in numbers[-3:]):
        raise Unreadable(path, "a value of final or best is no number")
    summary.setdefault("best", None)
    home = "{task}/{dataset}-{model}/{optimizer}-{hash}/seed={seed}".format(**summary)
    if folder != home:
        raise Unreadable(path, f"the record of another folder, {home}; a copy counts twice")


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _entries(path: Path, words: Sequence[str]) -> list[Any]:
    """The lines of a file of JSON lines in which all these strings stand. One cut short, by a kill or a full disk, is
    dropped."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    for word in words:
        text = json.dumps(word).encode()
        lines = [line for line in lines if text in line]
    with suppress(ValueError):
        return orjson.loads(b"[" + b",".join(lines) + b"]")  # twice as fast as line by line
    entries = []
    for line in lines:
        with suppress(ValueError):
            entries.append(orjson.loads(line))
    return entries


@lru_cache(maxsize=64)  # of ten thousand runs not all fit into memory
def _curves(path: Path, size: int, only: Sequence[str]) -> Curves:
    """metrics.jsonl by columns. `size`: of the file, which grows while a run goes on. `only`: a split and a metric."""
    curves: Curves = {}
    for entry in _entries(path, only):
        try:
            split, metric, step, epoch = entry["split"], entry["metric"], entry["step"], entry["epoch"]
            value = entry.get("flag", entry["value"])
            hash((split, metric))
            if value is not None and type(value) is not float:
                float(value)
            if not ((type(step) is int and type(epoch) is int) or (_is_number(step) and _is_number(epoch))):
                continue
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if split not in curves:
            curves[split] = {name: [] for name in POSITIONS}
        columns = curves[split]
        steps = columns["step"]
        row = len(steps) - 1
        values = columns.setdefault(metric, [])
        if row < 0 or steps[row] != step or columns["epoch"][row] != epoch or len(values) > row:
            row += 1
            steps.append(step)
            columns["epoch"].append(epoch)
            columns["lr"].append(entry.get("lr"))
            columns["wall_s"].append(entry.get("wall_s"))
        if len(values) < row:
            values += [None] * (row - len(values))
        values.append(value)
    for columns in curves.values():
        for values in columns.values():
            values += [None] * (len(columns["step"]) - len(values))
    return curves


def load_records(task: str = "[!.]*", problems: list[str] | None = None) -> Iterator[Record]:
    """Every record under `$ACPROP_RUNS`, of one task or of all, in the order of its path. One that cannot be read is a
    line in `problems`."""
    root, siblings = runs_root(), dict[str, Config]()
    for path in sorted(root.glob(f"{task}/*/*/seed=*/run.json")):
        try:
            yield Record(root, path.parent.relative_to(root).as_posix(), siblings=siblings)
        except Unreadable as error:
            if problems is not None:
                problems.append(str(error))


# -- published records -------------------------------------------------------------------------------------------------


def load_published(root: Path) -> Iterator[Record]:
    """Every record of the packed files under `root`, in the order of its folder."""
    siblings: dict[str, Config] = {}
    for path in sorted(root.glob("*/*.jsonl.gz")):
        try:
            with gzip.open(path, "rt") as file:
                entries = [json.loads(line) for line in file]
            records = [Record(root, entry["folder"], entry, siblings) for entry in entries]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, Unreadable) as error:
            why = " ".join(str(error).split())
            raise UsageError(f"{path}: damaged ({why}); fetch the published file again") from error
        yield from records


def pack(root: Path, records: Iterable[Record]) -> None:
    """Writes records as the published ones under `root`; of what they keep beside their numbers, the files that were
    read."""
    files: dict[Path, list[Record]] = {}
    for record in records:
        s = record.summary
        files.setdefault(root / s["task"] / f"{s['dataset']}-{s['model']}.jsonl.gz", []).append(record)
    for path, group in files.items():
        lines = []
        for record in sorted(group, key=lambda record: record.folder):
            entry = {"folder": record.folder, "config": record.own_config, "summary": record.summary}
            lines.append(json.dumps({**entry, "curves": record.curves}, separators=(",", ":")) + "\n")
            for name in sorted(record.used):
                content = record.read(name)
                assert content is not None
                write_atomically(root / record.folder / name, content)
        write_atomically(path, gzip.compress("".join(lines).encode(), mtime=0))
