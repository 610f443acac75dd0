"""The tasks that have a report, found by looking: every `experiments/<task>/report.py` beside a `__main__.py`.

`experiments` is a namespace: a folder `experiments/<task>` of one's own, anywhere on the Python path, is found as well.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from acprop.report.artefacts import OTHER, Artefact, Cell, table
from acprop.report.cells import Measure, column, fields
from acprop.report.records import by_budget, by_cell, file_name, labels_of, models_of, provenance, row_label
from acprop.report.style import dataset_name, model_name
from acprop.runs.record import ENDED, Record


@cache
def reports() -> dict[str, ModuleType]:
    """task -> its report."""
    import experiments

    folders = {path.parent for root in experiments.__path__ for path in Path(root).glob("*/report.py")}
    tasks = sorted(folder.name for folder in folders if (folder / "__main__.py").exists())
    return {task: import_module(f"experiments.{task}.report") for task in tasks}


@cache
def claims() -> dict[str, ModuleType]:
    """task -> its `claims.py`, of the tasks that have one: METRICS, `cells()` of published numbers, tests by name."""
    tasks = [task for task, report in reports().items() if Path(str(report.__file__)).with_name("claims.py").exists()]
    return {task: import_module(f"experiments.{task}.claims") for task in tasks}


def artefacts(records: Iterable[Record]) -> list[Artefact]:
    """What all tasks show of their records. Records of a task without a report get a table of their last values."""
    by_task: dict[str, list[Record]] = {}
    for record in records:
        by_task.setdefault(record.summary["task"], []).append(record)
    made: list[Artefact] = []
    for task in sorted(by_task):
        report = reports().get(task)
        made += report.artefacts(by_task[task]) if report else _last_values(task, by_task[task])
    return sorted(made, key=lambda artefact: artefact.name)


def parts(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records by what no table or figure of a task crosses: the named scale and the data set, but for those that
    the task's report says it sets side by side (SPANS)."""
    found: dict[str, list[Record]] = {}
    for record in records:
        task = record.summary["task"]
        kept = {"scale": record.config["scale"]["name"], "dataset": record.summary["dataset"]}
        spans = getattr(reports().get(task), "SPANS", ())
        found.setdefault("/".join([task, *(kept[key] for key in kept if key not in spans)]), []).append(record)
    return found


def _last_values(task: str, records: list[Record]) -> Iterator[Artefact]:
    """One table for each data set and scale: every last value that the runs logged."""
    for (dataset, scale), group in by_budget(records).items():
        cells = by_cell(group)
        keys = sorted({key for record in group for key in record.summary["final"]})
        measures = [Measure(key, key, _final(key), None, 4) for key in keys]
        rows: list[list[str | Cell]] = []
        long: list[dict[str, object]] = []
        for model in models_of(cells):
            for label in labels_of({cell: found for cell, found in cells.items() if cell[0] == model}):
                runs = cells[model, label]
                rows.append([model_name(model), row_label(label), *(column([runs], m)[0] for m in measures)])
                long.append({"model": model, "optimizer": label, **fields(runs, measures)})
        caption = f"{task} on {dataset_name(dataset)}, scale {scale}: last values. {provenance(group)}"
        name = file_name(task, dataset, scale)
        yield table(name, OTHER, caption, group, ["model", "optimizer", *keys], rows, long)


def _final(key: str) -> Callable[[Record], float | None]:
    return lambda record: record.summary["final"].get(key)


def unshown(records: Iterable[Record], made: Iterable[Artefact]) -> dict[str, list[str]]:
    """Why -> folders of the records that no artefact shows."""
    shown = {record.folder for artefact in made for record in artefact.records}
    left: dict[str, list[str]] = {}
    for record in records:
        if record.folder not in shown:
            task = record.summary["task"]
            if record.status not in ENDED:
                why = f"still {record.status}"
            elif record.status != "done":
                why = f"{record.status}, and no table of {task} counts such runs"
            else:
                why = f"nothing that experiments/{task}/report.py shows is made from such settings"
            left.setdefault(why, []).append(record.folder)
    return left
