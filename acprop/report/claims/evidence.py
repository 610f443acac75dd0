"""Which records speak for a claim: those at the paper's scale on the paper's data, and those in small that stand in."""

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from acprop.report import tasks
from acprop.report.records import by_budget
from acprop.report.settings import in_grid, is_tuned, tunes
from acprop.report.style import dataset_name
from acprop.runs import conf
from acprop.runs.identity import flatten, identity
from acprop.runs.record import FINISHED, Record

Groups = dict[tuple[str, str], list[Record]]  # (data set, scale) -> records


class Study(NamedTuple):
    """Records of one net on one data set at one scale: optimizer -> records that ended, of one setting."""

    dataset: str
    scale: str
    cells: dict[str, list[Record]]

    @property
    def where(self) -> str:
        return f"{dataset_name(self.dataset)}, {self.scale}"

    @property
    def records(self) -> list[Record]:
        return [record for group in self.cells.values() for record in group]


def folders(records: Iterable[Record]) -> tuple[str, ...]:
    return tuple(sorted({record.folder for record in records}))


class Evidence:
    """All records, by task."""

    def __init__(self, records: Iterable[Record]) -> None:
        tasks: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            tasks[record.summary["task"]].append(record)
        self._tasks = {task: by_budget(group) for task, group in tasks.items()}
        self.groups = cache(self._groups)  # asked for by each row of a table

    def of(self, task: str) -> Groups:
        return self._tasks.get(task, {})

    def _groups(self, task: str, dataset: str, model: str, part: str) -> tuple[list[Record], Groups]:
        """(the records at the paper's scale on its data, those in small that stand in for them, the closest first)."""
        full: list[Record] = []
        small: Groups = defaultdict(list)
        order = (dataset, *conf.read("stand_ins").get(dataset, ()))
        for (data, scale), group in self.of(task).items():
            if data not in order or not _counts(scale):
                continue
            for record in group:
                if record.summary["model"] != model or not _reports(record, part):
                    continue
                otherwise = _measured_otherwise(record)
                if data == dataset and scale == "paper" and not otherwise:
                    full.append(record)
                else:
                    small[data, f"{scale}, {otherwise}" if otherwise else scale].append(record)
        ranked = sorted(small, key=lambda key: (order.index(key[0]), key[1] != "paper", "laptop" in key[1], key[1]))
        return full, {key: small[key] for key in ranked}

    def studies(
        self, task: str, dataset: str, model: str, part: str, optimizers: Iterable[str]
    ) -> tuple[Study | None, list[Study]]:
        """(the study that is the paper's, those in small), one setting an optimizer, as far as there are records."""
        optimizers = list(optimizers)

        def study(data: str, scale: str, records: list[Record], published: bool) -> Study:
            cells = {
                name: one_setting([r for r in records if r.summary["optimizer"] == name], published)
                for name in optimizers
            }
            return Study(data, scale, {name: kept for name, kept in cells.items() if kept})

        full, small = self.groups(task, dataset, model, part)
        paper = study(dataset, "paper", full, published=True)
        others = [study(data, scale, records, published=False) for (data, scale), records in small.items()]
        return (paper if paper.cells else None), [other for other in others if other.cells]


def _measured_otherwise(record: Record) -> str:
    module = tasks.claims().get(record.summary["task"])
    return module.measured_otherwise(record) if module and hasattr(module, "measured_otherwise") else ""


def _reports(record: Record, part: str) -> bool:
    """Whether a run is of the part in question, and was not there to choose settings by. A part that a sweep of
    conf/sweep is made for is made of that sweep's runs."""
    task = record.summary["task"]
    sweeps = [name for name, p in conf.protocols().items() if p.get("part") == part and p["task"] == task]
    return (not sweeps or any(in_grid(name, record) for name in sweeps)) and not tunes(record)


def _counts(scale: str) -> bool:
    """Smoke runs and changed laptop budgets show that something runs, and are nobody's results."""
    return not scale.startswith(("smoke", "laptop-"))


def one_setting(records: list[Record], published: bool) -> list[Record]:
    """Runs that ended as a result, all of one setting: never a mixture. With `published`, of the published setting, if
    one is. Otherwise of the setting with most runs, the published one first; none if that leaves a tie."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status in FINISHED and (not published or is_published(record)):
            # Fig 5's study has the seed among its own settings
            settings = {k: v for k, v in flatten(identity(record.config)).items() if k.split(".")[-1] != "seed"}
            groups[json.dumps(settings, sort_keys=True)].append(record)
    ranked = sorted((len(group), is_tuned(group[0]), key) for key, group in groups.items())
    if not ranked or (len(ranked) > 1 and ranked[-1][:2] == ranked[-2][:2]):
        return []
    return groups[ranked[-1][2]]


def is_published(record: Record) -> bool:
    """Whether a run has the settings of its own data set's cell. True where there is none: nothing to differ from."""
    return is_tuned(record, of=record.summary["dataset"])
