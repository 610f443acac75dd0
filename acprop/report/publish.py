"""results/: published records, and what they give. Nothing but `publish` and `rebuild` ever changes it."""

import filecmp
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from acprop.report import RESULTS, build, claims, figures, records_root
from acprop.report.artefacts import Artefact
from acprop.runs import conf
from acprop.runs.errors import UsageError, require
from acprop.runs.record import FINISHED, Record, Unreadable, load_published, load_records, pack, write_atomically

MARKS = ("<!-- results: `make results` writes what stands between these two lines -->", "<!-- end of results -->")


def publish(texts: Sequence[str]) -> int:
    """Adds finished runs to the published records, in place of those of the same identity."""
    problems: list[str] = []
    runs = [record for record in load_records(problems=problems) if all(text in record.folder for text in texts)]
    new = [record for record in runs if _is_publishable(record) and _is_whole(record, problems)]
    require(bool(new), "publish", " ".join(texts), "no finished run below the root of runs has such a folder")
    old = {record.key: record for record in load_published(records_root())}
    every = [*{**old, **{record.key: record for record in new}}.values()]
    # what an artefact shows of a run beside its numbers is published with it: drawing tells what that is
    with tempfile.TemporaryDirectory() as folder:
        build.write(build.Material(every, [], [], problems), Path(folder), ("figures",), fresh=True)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    new = [record for record in new if record in every]
    pack(records_root(), every)
    left = f"{len(runs) - len(new)} left out: unfinished, of scale smoke, or damaged"
    print(f"{len(new)} runs published, {len(every)} in all; {left}")
    return rebuild([])


def _is_publishable(record: Record) -> bool:
    return record.status in FINISHED and not record.summary["scale"].startswith("smoke")


def _is_whole(record: Record, problems: list[str]) -> bool:
    try:
        record.own_config, record.curves  # noqa: B018 - read here
    except Unreadable as error:
        problems.append(str(error))
        return False
    return True


def rebuild(texts: Sequence[str]) -> int:
    """results/ from the published records alone."""
    _refuse(texts)
    material = _published()
    written, made, rows = build.write(material, RESULTS, fresh=True)
    if (told := _readme(made, rows)) is not None:
        write_atomically(RESULTS.parent / "README.md", told)
    print(f"{len(written)} files of {RESULTS} rebuilt")
    return 0


def _readme(made: Sequence[Artefact], rows: Sequence[claims.Row]) -> str | None:
    """README with the ledger's summary and the tables of conf/readme.yaml between its two marks; None where there is no
    README."""
    path = RESULTS.parent / "README.md"
    if not path.exists():
        return None
    before, first, rest = path.read_text().partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    require(bool(first and last), "README.md", str(path), f"it has the lines {' and '.join(MARKS)}")
    return f"{before}{first}\n{claims.summary(rows)}\n\n{shown(made, conf.read('readme'))}\n{last}{after}"


def shown(made: Sequence[Artefact], choice: Sequence[dict[str, str]]) -> str:
    """A Markdown table with a row for each table of `choice` that there is: the values of one of its columns, without
    their intervals, by optimizer."""
    by_name = {artefact.name: artefact for artefact in made if not artefact.draw}  # a figure may have the same name
    found = {}
    for one in choice:
        if artefact := by_name.get(one["table"]):
            at = list(artefact.header).index(one["column"])
            link = f"[{one['what']}](results/tables/{artefact.name}.md)"
            found[link] = {row[0].text: row[at] for row in artefact.rows}
    optimizers = list(dict.fromkeys(name for cells in found.values() for name in cells))
    lines = [["mean ± std (runs)", *optimizers], ["---"] * (1 + len(optimizers))]
    for link, cells in found.items():
        texts = [cells[name].text.partition(" [")[0] if name in cells else "" for name in optimizers]
        bold = [name in cells and cells[name].bold for name in optimizers]
        lines.append([link, *(f"**{text}**" if strong else text for text, strong in zip(texts, bold, strict=True))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def check(texts: Sequence[str]) -> int:
    """Says which files of results/ are not what the published records give: byte for byte, but for pictures, of which
    the numbers are compared that they were drawn from, since no two machines draw the same bytes."""
    _refuse(texts)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        material = _published()
        _, made, rows = build.write(material, fresh, fresh=True)
        names = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
        here = {path.relative_to(RESULTS) for name in ("tables", "figures") for path in (RESULTS / name).glob("[!.]*")}
        here |= {Path(name) for name in ("claims.md", "claims.csv", "report.html") if (RESULTS / name).exists()}
        differ = sorted(str(name) for name in names ^ here)
        differ += sorted(str(name) for name in names & here if not _same(RESULTS / name, fresh / name))
    if (told := _readme(made, rows)) is not None and told != (RESULTS.parent / "README.md").read_text():
        differ.append("../README.md")
    for name in differ:
        print(f"results/{name} is not what the published records give; `make results` rebuilds it", file=sys.stderr)
    print(f"{len(names)} files of results/ rebuilt from the published records: {len(differ)} differ")
    return 1 if differ else 0


def _same(committed: Path, fresh: Path) -> bool:
    if committed.suffix == ".png":
        return figures.digest_of(committed) == figures.digest_of(fresh)
    return committed.suffix == ".pdf" or filecmp.cmp(committed, fresh, shallow=False)


def _published() -> build.Material:
    records = list(load_published(records_root()))
    return build.Material(records, [], records, [])


def _refuse(texts: Sequence[str]) -> None:
    if texts:
        raise UsageError(f"{' '.join(texts)}: this takes no further words")
