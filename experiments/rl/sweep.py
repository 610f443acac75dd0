"""The tuning behind Fig 9: every setting with its mean return over training, and the rule that picks one."""

from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from acprop.report.records import provenance
from acprop.report.style import look, order
from acprop.report.tables import write_table
from acprop.runs import Record, require
from acprop.runs.identity import flatten
from experiments.rl.report import done, last_return, mean_return

Setting = tuple[tuple[str, Any], ...]  # ("lr", 1e-3), ("eps", 1e-8)


def scores(records: list[Record]) -> dict[str, dict[Setting, float]]:
    """optimizer -> setting -> mean over its seeds of the mean return over training, the best setting first. A setting
    of which a run did not end well is worth minus infinity.

    Raises:
        UsageError: if two optimizers did not have the same number of settings, or two settings not the same seeds.
    """
    by_optimizer: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_optimizer[record.summary["optimizer"]].append(record)
    result = {}
    for optimizer in sorted(by_optimizer, key=order):
        groups = _by_setting(by_optimizer[optimizer])
        worth = {
            setting: fmean(map(mean_return, group)) if len(done(group)) == len(group) else float("-inf")
            for setting, group in groups.items()
        }
        result[optimizer] = dict(sorted(worth.items(), key=lambda item: -item[1]))
    budgets = {optimizer: len(worth) for optimizer, worth in result.items()}
    require(len(set(budgets.values())) == 1, "sweep", budgets, "each optimizer must have as many settings")
    seeds = Counter(record.summary["seed"] for record in records)
    require(len(set(seeds.values())) == 1, "sweep", dict(seeds), "each seed must have run as many settings")
    return result


def _by_setting(records: list[Record]) -> dict[Setting, list[Record]]:
    flat = {id(record): flatten(record.config["optimizer"]) for record in records}
    varied = [key for key in flat[id(records[0])] if len({repr(one[key]) for one in flat.values()}) > 1]
    groups: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        groups[tuple((key, flat[id(record)][key]) for key in varied)].append(record)
    return groups


def table(path: Path, records: list[Record]) -> bool:
    """One row a setting, the chosen one of each optimizer in bold."""
    rows, long = [], []
    for optimizer, worth in scores(records).items():
        groups = _by_setting([record for record in records if record.summary["optimizer"] == optimizer])
        for rank, (setting, score) in enumerate(worth.items()):
            text = ", ".join(f"{key} {value:g}" for key, value in setting)
            last = fmean(map(last_return, done(groups[setting]))) if done(groups[setting]) else float("nan")
            cells = [look(optimizer).label, text, f"{score:.3f}", f"{last:.3f}"]
            rows.append([f"**{cell}**" for cell in cells] if rank == 0 else cells)
            long.append(
                {
                    "optimizer": optimizer, **{key: dict(setting).get(key, "") for key in ("lr", "eps", "momentum")},
                    "seeds": " ".join(str(record.summary["seed"]) for record in groups[setting]),
                    "mean_return": score, "last_return": last, "chosen": "yes" if rank == 0 else "",
                }
            )  # fmt: skip
    first, count = records[0], len(rows) // len({record.summary["optimizer"] for record in records})
    seeds = ", ".join(map(str, sorted({record.summary["seed"] for record in records})))
    caption = (
        f"The sweep behind Fig 9: {first.summary['model'].upper()} on four-rooms, {count} settings for each optimizer, "
        f"seed(s) {seeds}, which Fig 9 does not use. Chosen (bold): the largest mean return over training. Scale: "
        f"{first.summary['scale']} ({first.config['steps']} environment steps). {provenance(records)}"
    )
    write_table(path, caption, ["optimizer", "setting", "mean return", "last return"], rows, long)
    return True
