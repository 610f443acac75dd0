"""The tuning behind Fig 9: every setting with its mean return over training, and which one was chosen."""

from collections import defaultdict
from statistics import fmean

from acprop.report.again import again
from acprop.report.artefacts import Artefact, Cell, table
from acprop.report.records import provenance
from acprop.report.settings import Setting, choices, of_optimizer
from acprop.report.style import dataset_name, look, order
from acprop.runs.record import Record
from experiments.rl.measures import done, last_return, mean_return


def artefact(name: str, records: list[Record]) -> Artefact:
    """One row a setting, the best first, the chosen one of each optimizer in bold."""
    chosen = {key[-1]: setting for key, setting in choices(records, mean_return).items()}
    groups: dict[str, dict[Setting, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        groups[record.summary["optimizer"]][of_optimizer(record)].append(record)
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for optimizer in sorted(groups, key=order):
        varied = _varied(groups[optimizer])
        for setting, group in sorted(groups[optimizer].items(), key=lambda item: -_worth(item[1])):
            flat = {key: value for key, value in setting if key in varied}
            score, ended = _worth(group), done(group)
            last = fmean(map(last_return, ended)) if ended else float("nan")
            told = ", ".join(f"{key} {float(value):g}" for key, value in flat.items())
            bold = chosen.get(optimizer) == setting
            texts = (look(optimizer).label, told, f"{score:.3f}", f"{last:.3f}")
            rows.append([Cell(text, bold, group) for text in texts])
            seeds = " ".join(str(record.summary["seed"]) for record in group)
            values = {key: flat.get(key, "") for key in ("lr", "eps", "momentum")}
            scores = {"mean_return": score, "last_return": last, "chosen": "yes" if bold else ""}
            long.append({"optimizer": optimizer, **values, "seeds": seeds, **scores})
    first = records[0]
    numbers = sorted({len(settings) for settings in groups.values()})
    seeds = ", ".join(map(str, sorted({record.summary["seed"] for record in records})))
    caption = (
        f"The sweep behind Fig 9: {first.summary['model'].upper()} on {dataset_name(first.summary['dataset'])}, "
        f"{' to '.join(map(str, numbers))} settings for each optimizer, seed(s) {seeds}, which Fig 9 does not use. "
        f"Chosen (bold): the largest mean return over training. Scale: {first.summary['scale']} "
        f"({first.config['steps']} environment steps). {again(records)}{provenance(records)}"
    )
    return table(name, "fig9", caption, records, ["optimizer", "setting", "mean return", "last return"], rows, long)


def _varied(settings: dict[Setting, list[Record]]) -> set[str]:
    """Keys of which one optimizer had several values."""
    values: dict[str, set[str]] = defaultdict(set)
    for setting in settings:
        for key, value in setting:
            values[key].add(value)
    return {key for key, found in values.items() if len(found) > 1}


def _worth(records: list[Record]) -> float:
    """The mean over seeds; a setting of which a run did not end well is worth nothing."""
    return fmean(map(mean_return, records)) if len(done(records)) == len(records) else float("-inf")
