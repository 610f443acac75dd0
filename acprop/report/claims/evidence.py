"""Which records speak for a claim: those at the paper's scale on the paper's data, and those in small that stand in."""

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import yaml

from acprop.report.records import by_budget
from acprop.report.settings import agrees, in_grid, is_tuned, tunes
from acprop.report.style import dataset_name
from acprop.runs.conf import CONF
from acprop.runs.identity import flatten, identity
from acprop.runs.record import FINISHED, Record

# What runs in place of a data set, the closest first. Its numbers are never compared with the paper's.
STAND_INS = {
    "cifar10": ("cifar10", "fashion_mnist", "digits"),
    "cifar100": ("cifar100", "fashion_mnist", "digits"),
    "imagenet": ("imagenet", "imagenette", "image_folder"),
    "iwslt14_de_en": ("iwslt14_de_en", "cldr_de_en"),
    "iwslt15_en_vi": ("iwslt15_en_vi", "cldr_vi_en"),
    "ted_ja_en": ("ted_ja_en", "cldr_ja_en"),
    "ted_ro_en": ("ted_ro_en", "cldr_ro_en"),
    "mnist": ("mnist", "fashion_mnist", "digits"),
}

# The sweep of conf/sweep that a part of the paper is made from; the others are made from single cells.
SWEEPS = {"fig5": "fig5cd", "fig7": "fig7"}

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

    def of(self, task: str) -> Groups:
        return self._tasks.get(task, {})

    def groups(self, task: str, dataset: str, model: str, part: str) -> tuple[list[Record], Groups]:
        """(the records at the paper's scale on its data, those in small that stand in for them, the closest first)."""
        full: list[Record] = []
        small: Groups = defaultdict(list)
        order = STAND_INS.get(dataset, (dataset,))
        for (data, scale), group in self.of(task).items():
            if data not in order or not _counts(scale):
                continue
            for record in group:
                if record.summary["model"] != model or not _reports(record, part):
                    continue
                papers_metric = record.config.get("fid_network", "inception") == "inception"
                if data == dataset and scale == "paper" and papers_metric:
                    full.append(record)
                else:
                    small[data, scale if papers_metric else f"{scale}, feature FID"].append(record)
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

    def theory(self, study: str, **wanted: Any) -> Record | None:
        """The record of a study of conf/theory/study at full length with the settings of its file and `wanted`;
        None if there is none."""
        conf = _conf(f"theory/study/{study}")
        settings = {"study": {**conf["study"], **wanted}, "budget": 1.0}
        for group in self.of("theory").values():
            for record in group:
                model = record.summary["model"]
                if record.status == "done" and model == conf["names"]["model"] and agrees(settings, record.config):
                    return record
        return None


def _reports(record: Record, part: str) -> bool:
    """Whether a run is of the part in question, and was not there to choose settings by."""
    sweep = SWEEPS.get(part)
    swept = record.summary["task"] != "cifar" or (in_grid(sweep, record) if sweep else True)
    return swept and not tunes(record)


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
    ranked = sorted((len(group), is_published(group[0]), key) for key, group in groups.items())
    if not ranked or (len(ranked) > 1 and ranked[-1][:2] == ranked[-2][:2]):
        return []
    return groups[ranked[-1][2]]


def is_published(record: Record) -> bool:
    """Whether a run has the settings of its own data set's cell. True where there is none: nothing to differ from."""
    return is_tuned(record, of=record.summary["dataset"])


@cache
def _conf(name: str) -> Any:
    path = CONF / f"{name}.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else None


def criterion(name: str, problem: str) -> Any:
    return _conf(f"theory/criterion/{name}")[problem]
