"""What tuning chose by: every setting that was tried, with its score on data or seeds that no report uses, and which
one was chosen."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from acprop.report import comparisons
from acprop.report.again import again
from acprop.report.artefacts import Artefact, Cell, table
from acprop.report.beyond import oriented
from acprop.report.cells import Measure, column, fields
from acprop.report.records import budgets_text, by_cell, models_of, provenance
from acprop.report.settings import Setting, choices, of_optimizer, tunes
from acprop.report.style import look, model_name, order
from acprop.runs.record import Record

Groups = dict[tuple[str, str], dict[Setting, list[Record]]]  # (model, optimizer) -> setting -> its seeds


def artefacts(
    names: tuple[str, str], part: str, what: str, records: Sequence[Record], every: Sequence[Record],
    score: comparisons.Score, budget: Callable[[dict[str, Any]], str], beside: Sequence[Measure] = (), digits: int = 2,
) -> Iterator[Artefact]:  # fmt: skip
    """The table of every setting, the best of an optimizer first; and what the settings say together.

    Args:
        names: of both.
        what: was tuned, in captions.
        records: the runs to choose by.
        every: all of the task, since of equal settings the one that was then reported was chosen.
        score: what settings are judged by.
        budget: what a caption says of a config's.
        beside: other numbers of a run that are shown.
        digits: of the score, behind the point.
    """
    groups: Groups = defaultdict(lambda: defaultdict(list))
    for record in records:
        groups[record.summary["model"], record.summary["optimizer"]][of_optimizer(record)].append(record)
    measures = [Measure(score.name, "score", score.of, score.largest, digits), *beside]
    rows, long = _rows(groups, [record for record in every if not tunes(record)], score, measures)
    numbers = [len(settings) for settings in groups.values()]
    many = f"{min(numbers)} to {max(numbers)}" if len(set(numbers)) > 1 else str(numbers[0])
    seeds = ", ".join(map(str, sorted({record.summary["seed"] for record in records})))
    caption = (
        f"Tuning behind {what}: {many} settings for each optimizer, seeds {seeds}, which no report uses. Bold: chosen, "
        f"the {'largest' if score.largest else 'smallest'} {score.name} on average; of equal settings the one that was "
        "then reported, and never one with a run that diverged or failed. Mean ± std (n) and 95 % interval over seeds. "
        f"Scale: {records[0].summary['scale']} ({budgets_text(by_cell(records), budget)}). "
        f"{again(records)}{provenance(records)}"
    )
    lead = ["model", "optimizer"] if len({model for model, _ in groups}) > 1 else ["optimizer"]
    yield table(names[0], part, caption, records, [*lead, "setting", *(one.name for one in measures)], rows, long)
    if together := comparisons.of_settings(names[1], part, f"Tuning behind {what}", records, score):
        yield together


def _rows(
    groups: Groups, reported: Sequence[Record], score: comparisons.Score, measures: Sequence[Measure]
) -> tuple[list[list[str | Cell]], list[dict[str, object]]]:
    def worth(record: Record) -> float:
        return oriented(score.of(record), score.largest) if record.status == "done" else -math.inf

    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    tried = [record for settings in groups.values() for group in settings.values() for record in group]
    chosen_of = {cell[2:]: setting for cell, setting in choices([*tried, *reported], worth).items()}
    models = models_of(groups)
    keys = {cell: _varied(settings) for cell, settings in groups.items()}
    every_key = sorted(set().union(*keys.values()))
    for cell in sorted(groups, key=lambda cell: (models.index(cell[0]), order(cell[1]))):
        model, optimizer = cell
        chosen = chosen_of.get(cell)
        lead = [model_name(model)] * (len(models) > 1) + [look(optimizer).label]
        scores = {setting: fmean(map(worth, group)) for setting, group in groups[cell].items()}
        for setting in sorted(scores, key=lambda one: (-scores[one], one != chosen)):
            group = groups[cell][setting]
            values = {key: _number(value) for key, value in setting if key in keys[cell]}
            told = ", ".join(f"{key} {value}" for key, value in values.items())
            texts = [*lead, told, *(column([group], measure)[0].text for measure in measures)]
            rows.append([Cell(text, setting == chosen, group) for text in texts])
            first = {"model": model, "optimizer": optimizer, **{key: values.get(key, "") for key in every_key}}
            long.append({**first, **fields(group, measures), "chosen": "yes" if setting == chosen else ""})
    return rows, long


def _varied(settings: dict[Setting, list[Record]]) -> set[str]:
    """Keys of which one optimizer had several values."""
    values: dict[str, set[str]] = defaultdict(set)
    for setting in settings:
        for key, value in setting:
            values[key].add(value)
    return {key for key, found in values.items() if len(found) > 1}


def _number(value: str) -> str:
    """As short as it can be said."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
