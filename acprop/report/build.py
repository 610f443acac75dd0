"""Records in; tables, figures, ledger and page out, under one root. The same records give the same files."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from acprop.report import claims, files, own, page, records_root, results_root, tasks
from acprop.report.artefacts import Artefact
from acprop.runs.record import Record, Unreadable, load_published, load_records, write_atomically

T = TypeVar("T")
WORDS = ("tables", "figures", "claims", "page")
DRAWN = ".drawn.json"  # under the root: figure -> what it was drawn from
REFRESHED = ".refreshed.json"  # part of a task's records -> what its tables were last made from


class Material(NamedTuple):
    """What a report is made from. records: published ones, and own ones of other cells; twins: own runs of cells that
    are published; problems: a line for each record that cannot be read."""

    records: list[Record]
    twins: list[Record]
    published: list[Record]
    problems: list[str]


class Report(NamedTuple):
    """The files that were written, and what they show: tables and figures, and the ledger's rows."""

    written: list[Path]
    made: list[Artefact]
    rows: list[claims.Row]


def gather() -> Material:
    """The published records and a user's own."""
    problems: list[str] = []
    published = list(load_published(records_root()))
    twins, others = own.apart(_sound(load_records(problems=problems), problems), published)
    return Material(published + others, twins, published, problems)


def _sound(records: Iterable[Record], problems: list[str]) -> list[Record]:
    """Those whose config and hash can be read too."""
    kept = []
    for record in records:
        try:
            record.config, record.key  # noqa: B018 - read here
            kept.append(record)
        except Unreadable as error:
            problems.append(str(error))
    return kept


def artefacts(material: Material) -> tuple[list[Artefact], list[claims.Row]]:
    rows = claims.ledger(material.records)
    made = [*tasks.artefacts(material.records), *claims.paper_tables(rows, material.records)]
    made += claims.mutants_table(rows, material.records)
    return [*made, *own.beside(material.twins, material.published)], rows


def write(material: Material, root: Path, words: Sequence[str] = WORDS, fresh: bool = False) -> Report:
    """Writes what `words` name under `root`, and takes away what no artefact is any more. A figure is drawn again only
    if what it is made from has changed, or if `fresh`."""
    return without_unreadable(material, lambda: _write(material, root, words, fresh))


def without_unreadable(material: Material, make: Callable[[], T]) -> T:
    """What `make` makes of the material. A record of which a file turns out to be damaged is left out, and all is made
    again: it costs its own cell and a line, no other's."""
    while True:
        try:
            return make()
        except Unreadable as error:
            damaged = [r for r in (*material.records, *material.twins) if error.path.is_relative_to(r.path)]
            if not damaged:
                raise
            material.problems.append(str(error))
            for records in (material.records, material.twins, material.published):
                records[:] = [record for record in records if record not in damaged]


def _write(material: Material, root: Path, words: Sequence[str], fresh: bool) -> Report:
    made, rows = artefacts(material)
    drawn = {} if fresh else _read(root / DRAWN)
    written: list[Path] = []
    for artefact in made:
        kind = "figures" if artefact.draw else "tables"
        if kind not in words and not ("page" in words and kind == "figures"):
            continue
        if artefact.draw:
            seen, path = _seen(artefact), root / kind / f"{artefact.name}.png"
            if drawn.get(artefact.name) == seen and path.exists():
                written += [path, path.with_suffix(".pdf")]
                continue
            drawn[artefact.name] = seen
        written += files.write(artefact, root)
    if "claims" in words:
        written += claims.write(rows, root)
    if "page" in words:
        written.append(page.write(rows, made, material, root))
    if not fresh:
        write_atomically(root / DRAWN, json.dumps({a.name: drawn[a.name] for a in made if a.name in drawn}, indent=0))
        if set(words) == set(WORDS):
            made_from = {part: _of_part(records) for part, records in tasks.parts(material.records).items()}
            write_atomically(root / REFRESHED, json.dumps(made_from, indent=0))
    if set(words) == set(WORDS):
        _clear(root, set(written))
    return Report(written, made, rows)


def refresh(task: str) -> list[str]:
    """The tables and figures of one task, in the reader's report, that records have changed of since the last time;
    returns their names."""
    material = gather()
    return without_unreadable(material, lambda: _refresh(material, task))


def _refresh(material: Material, task: str) -> list[str]:
    root = results_root()
    drawn, told = _read(root / DRAWN), _read(root / REFRESHED)
    made: list[Artefact] = []
    of_task = [record for record in material.records if record.summary["task"] == task]
    for part, records in tasks.parts(of_task).items():
        seen = _of_part(records)
        if told.get(part) != seen:
            made += tasks.artefacts(records)
            told[part] = seen
    made += own.beside(material.twins, material.published)
    for artefact in made:
        seen = _seen(artefact)
        if not artefact.draw or drawn.get(artefact.name) != seen:
            files.write(artefact, root)
            drawn |= {artefact.name: seen} if artefact.draw else {}
    if made:
        write_atomically(root / DRAWN, json.dumps(drawn, indent=0))
        write_atomically(root / REFRESHED, json.dumps(told, indent=0))
    return [artefact.name for artefact in made]


def _clear(root: Path, written: set[Path]) -> None:
    for folder in ("tables", "figures"):
        for path in (root / folder).glob("[!.]*"):
            if path not in written:
                path.unlink()


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _seen(artefact: Artefact) -> str:
    """A hash over all that a figure is drawn from: its records, and the code."""
    return _hash(artefact.caption, _code(), *(record.stamp for record in artefact.records))


def _of_part(records: Iterable[Record]) -> str:
    """A hash over all that the tables and figures of these records are made from."""
    return _hash(_code(), *(record.stamp for record in records))


def _hash(*seen: str) -> str:
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]


@cache
def _code() -> str:
    """A hash over the code of every report."""
    here = Path(__file__).parent
    sources = [*here.rglob("*.py"), *(Path(str(module.__file__)) for module in tasks.reports().values())]
    folders = {path.parent for path in sources}
    every = sorted(path for folder in folders for path in folder.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in every)).hexdigest()
