"""What a user asks of the same runs and the paper does not: how soon a target is reached and at what cost, how wide the
range of good settings is, what tuning brings, and what all tasks together say. Tables made of records; the sums are in
beyond.py."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import NamedTuple

from acprop.report.artefacts import Artefact, Cell, table
from acprop.report.beyond import (
    Ranks,
    best_of,
    iqm,
    on_edge,
    oriented,
    profile,
    rank,
    relative,
    sensitivity,
    stratified,
    time_to_target,
)
from acprop.report.records import Cells, failed, labels_of, models_of, provenance, row_label
from acprop.report.style import look, model_name, order
from acprop.runs.record import FINISHED, Record

CLOSE = 0.01  # of the best score: what counts as good, and as reached
SHARES = (0.9, 0.95, 0.99)  # of the best optimizer's score
TRIALS = (1, 2, 4, 8, 16)
MANY = 60  # cells of which a caption would name none


class Score(NamedTuple):
    """What runs are compared by. name: as people read it; of: of a run that did not fail; curve: (split, metric) whose
    course tells when a target is reached; positive: of a scale on which shares make sense."""

    name: str
    of: Callable[[Record], float]
    largest: bool
    curve: tuple[str, str]
    positive: bool = True

    def worth(self, record: Record) -> float:
        """Larger is better; a failed run is the worst."""
        return -math.inf if failed(record) else oriented(self.of(record), self.largest)

    def shown(self, worth: float) -> str:
        """A worth as people read it."""
        return f"{worth if self.largest else -worth:.4g}" if math.isfinite(worth) else "failed"


def of_cells(name: str, part: str, what: str, cells: Cells, score: Score) -> Iterator[Artefact]:
    """`<name>_speed` and, where several models make several tasks, `<name>_tasks`. `what`: begins the captions."""
    ended = {cell: runs for cell, group in cells.items() if (runs := [r for r in group if r.status in FINISHED])}
    if ended:
        yield speed(f"{name}_speed", part, what, ended, score)
    together = {label for _, label in ended}
    models = models_of(ended)
    whole = [label for label in labels_of(ended) if label in together and all((m, label) in ended for m in models)]
    if len(models) > 1 and len(whole) > 1 and score.positive:
        yield tasks(f"{name}_tasks", part, what, ended, models, whole, score)


# -- the end of the curves -------------------------------------------------------------------------------------------


def ends_told(cells: Cells, curve: tuple[str, str], name: Callable[[str], str] = model_name) -> str:
    """What a caption says of the ends of the curves: of which cells the last tenth of training still moves the mean by
    more than its runs differ. Of a cell that has one good run nothing can be said.

    Args:
        curve: split and metric.
        name: how a model is called.
    """
    if len(cells) > MANY:
        return f"Whether curves are flat at the end is not told of so many ({len(cells)}). "
    told, moving = 0, []
    for (model, label), group in cells.items():
        curves = [record.curve(*curve, over="step") for record in group if not failed(record)]
        if len(curves := [one for one in curves if len(one) > 1]) < 2:
            continue
        told += 1
        drift, spread = fmean(map(_drift, curves)), stdev(one[-1][1] for one in curves)
        if abs(drift) > spread:
            where = f" on {name(model)}" if len({model for model, _ in cells}) > 1 else ""
            moving.append(f"{row_label(label)}{where} ({drift:+.3g}, spread {spread:.2g})")
    if not told:
        return ""
    if not moving:
        return "Flat at the end: the last tenth of training moves no mean by more than its runs' standard deviation. "
    return f"Not flat at the end: the last tenth of training moves the mean of {', '.join(moving)}. "


def _drift(curve: Sequence[tuple[float, float]]) -> float:
    """What the last tenth of a curve of (position, score) adds; between its points it is straight."""
    import numpy as np

    positions, scores = zip(*curve, strict=True)
    return scores[-1] - float(np.interp(0.9 * positions[-1], positions, scores))


# -- time and cost ---------------------------------------------------------------------------------------------------


def speed(name: str, part: str, what: str, cells: Cells, score: Score) -> Artefact:
    """Steps and seconds to a target, and what a step costs. The target is within CLOSE of the best optimizer's mean."""
    models, labels = models_of(cells), labels_of(cells)
    header, columns, long = ["optimizer"], [], []
    for model in models:
        known = {label: cells[model, label] for label in labels if (model, label) in cells}
        means = [
            fmean(values) for group in known.values() if math.isfinite(fmean(values := list(map(score.worth, group))))
        ]
        if not means:
            continue
        best = max(means)
        target = best - CLOSE * abs(best)
        header += [f"{model_name(model)} steps to {score.shown(target)}", "seconds", "ms a step", "peak MiB"]
        texts = []
        for label in labels:
            group = known.get(label, [])
            row = _speed_of(group, target, score)
            long.append({"model": model, "optimizer": label, "target": oriented(target, score.largest), **row})
            texts.append(_speed_told(group, row))
        columns.append(texts)
    rows: list[list[str | Cell]] = [
        [row_label(label), *(cell for column in columns for cell in column[index])]
        for index, label in enumerate(labels)
    ]
    records = [record for group in cells.values() for record in group]
    caption = (
        f"{what}: steps and seconds until {score.name} is within {CLOSE:.0%} of the best optimizer's mean, the median "
        "over seeds (in brackets: how many of them get there), and what a step costs, evaluations included; seconds "
        f"are wall time on the machine that ran, whatever else ran on it. {provenance(records)}"
    )
    return table(name, part, caption, records, header, rows, long)


def _speed_of(group: Sequence[Record], target: float, score: Score) -> dict[str, object]:
    """steps, seconds: medians over runs, infinite where half of them do not get there."""
    steps, seconds = [], []
    for record in group:
        curve = [(at, oriented(value, score.largest)) for at, value in record.curve(*score.curve, over="step")]
        found = math.inf if failed(record) else time_to_target(curve, target)
        steps.append(found)
        total = record.summary["steps"]
        seconds.append(found / total * record.summary["wall_s"] if total and math.isfinite(found) else math.inf)
    costs = [1000 * r.summary["wall_s"] / r.summary["steps"] for r in group if r.summary["steps"] and not failed(r)]
    memory = [r.summary["peak_memory_mib"] for r in group if r.summary.get("peak_memory_mib")]
    return {
        "n": len(group), "reached": sum(map(math.isfinite, steps)),
        "steps": median(steps) if steps else "", "seconds": median(seconds) if seconds else "",
        "ms_a_step": median(costs) if costs else "", "peak_mib": median(memory) if memory else "",
    }  # fmt: skip


def _speed_told(group: Sequence[Record], row: Mapping[str, object]) -> list[Cell]:
    def number(key: str, digits: int = 0) -> str:
        value = row[key]
        if not isinstance(value, (int, float)):
            return ""
        return f"{value:,.{digits}f}" if math.isfinite(value) else "never"

    count = f" ({row['reached']} of {row['n']})" if group else "not run"
    texts = [number("steps") + count, number("seconds"), number("ms_a_step", 1), number("peak_mib")]
    return [Cell(text, records=group) for text in texts]


# -- all tasks together ----------------------------------------------------------------------------------------------


def tasks(
    name: str, part: str, what: str, cells: Cells, models: Sequence[str], labels: Sequence[str], score: Score
) -> Artefact:
    """The interquartile mean over all runs of all models, shares of them above SHARES of the best, and mean ranks."""
    raw = {
        label: [[math.nan if failed(r) else score.of(r) for r in cells[model, label]] for model in models]
        for label in labels
    }
    shares = relative(raw, [score.largest] * len(models))
    ranks = rank([[fmean(runs) for runs in shares[label]] for label in labels])
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for label, place in zip(labels, ranks.mean, strict=True):
        middle, (low, high) = float(iqm(shares[label])), stratified(iqm, shares[label])
        above = profile(shares[label], SHARES)
        group = [record for model in models for record in cells[model, label]]
        texts = [f"{middle:.3f} [{low:.3f}, {high:.3f}]", *(f"{one:.0%}" for one in above), f"{place:.2f}"]
        rows.append([row_label(label), *(Cell(text, records=group) for text in texts)])
        long.append(
            {"optimizer": label, "runs": len(group), "failed": sum(map(failed, group)), "iqm": middle, "low": low}
            | {"high": high, **{f"above_{share:g}": one for share, one in zip(SHARES, above, strict=True)}}
            | {"mean_rank": place}
        )
    records = [record for model in models for label in labels for record in cells[model, label]]
    caption = (
        f"{what}: all {len(models)} models together ({', '.join(map(model_name, models))}). Scores are shares of the "
        "best optimizer's mean on the same model, a failed run is worth 0. IQM: mean of the middle half of all runs, "
        "95 % bootstrap interval, runs drawn within each model; then the share of runs, each model counting the same, "
        "above a share of the best; then the mean over models of its rank by mean share, 1 is best. "
        f"{_ranks_told(ranks)} {provenance(records)}"
    )
    header = ["optimizer", "IQM", *(f"above {share:g}" for share in SHARES), "mean rank"]
    return table(name, part, caption, records, header, rows, long)


def _ranks_told(ranks: Ranks) -> str:
    p = "" if math.isnan(ranks.p) else f"Friedman's test that all ranks are alike: p = {ranks.p:.2g}. "
    return f"{p}Two mean ranks are apart, at 5 % over all pairs (Nemenyi), if they differ by {ranks.apart:.2f}."


# -- settings --------------------------------------------------------------------------------------------------------


def of_settings(name: str, part: str, what: str, records: Sequence[Record], score: Score) -> Artefact | None:
    """Of runs over many settings: how good the best is and where it lies, how wide the range around it is, and what k
    trials bring. None where no optimizer ran with several learning rates."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status in FINISHED and "lr" in record.config["optimizer"]:
            groups[record.summary["model"], record.summary["optimizer"]].append(record)
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for (model, optimizer), group in sorted(groups.items(), key=lambda item: (item[0][0], order(item[0][1]))):
        found = _of_optimizer(group, score)
        if found is None:
            continue
        widths = f"{'≥ ' * bool(found['open'])}{found['decades']:.1f}"
        brought = [
            "" if found[f"best_of_{k}"] == "" else score.shown(float(str(found[f"best_of_{k}"]))) for k in TRIALS
        ]
        texts = [
            look(optimizer).label,
            f"{found['best_lr']:g}",
            score.shown(float(str(found["best"]))),
            widths,
            *brought,
            str(found["edge"]),
        ]
        rows.append([model_name(model), *(Cell(text, records=group) for text in texts)])
        long.append({"model": model, "optimizer": optimizer, **found})
    if not rows:
        return None
    caption = (
        f"{what}: {score.name} over the settings that were tried. Decades: the width of the range of learning rates, "
        f"each at its best other settings, within {CLOSE:.0%} of the best (≥: the range ends at the grid's own end). "
        "Best of k: what k random trials of those settings bring on average. A choice at the end of its grid is named: "
        f"a better one may lie beyond. {provenance(records)}"
    )
    header = [
        "model",
        "optimizer",
        "best lr",
        score.name,
        "decades",
        *(f"best of {k}" for k in TRIALS),
        "end of the grid",
    ]
    return table(name, part, caption, records, header, rows, long)


def _of_optimizer(group: Sequence[Record], score: Score) -> dict[str, object] | None:
    """Of one model and optimizer: the numbers of a row; None for a single learning rate."""
    trials: dict[tuple[tuple[str, float], ...], list[float]] = defaultdict(list)
    for record in group:
        settings = {
            key: float(value)
            for key, value in record.config["optimizer"].items()
            if isinstance(value, float | int) and not isinstance(value, bool)
        }
        trials[tuple(sorted(settings.items()))].append(score.worth(record))
    means = {setting: fmean(values) for setting, values in trials.items()}
    keys = [key for key, _ in next(iter(means))]
    grid = {key: sorted({dict(setting)[key] for setting in means}) for key in keys}
    if len(grid["lr"]) < 2 or max(means.values()) == -math.inf:
        return None
    # an end of the grid is one only if nothing within is as good
    best = min(
        map(dict, (s for s, m in means.items() if m == max(means.values()))), key=lambda s: len(on_edge(s, grid))
    )
    by_lr = {lr: [max(m for s, m in means.items() if dict(s)["lr"] == lr)] for lr in grid["lr"]}
    found = sensitivity(by_lr, CLOSE)
    return {
        "settings": len(means), "best_lr": best["lr"], "best": max(means.values()), "decades": found.decades,
        "open": found.open,
        **{f"best_of_{k}": best_of(list(means.values()), k) if k <= len(means) else "" for k in TRIALS},
        "edge": "; ".join(on_edge(best, grid)),
    }  # fmt: skip


def one_for_all(name: str, part: str, what: str, records: Sequence[Record], score: Score) -> Artefact | None:
    """Each optimizer at its defaults (`tuned=none`) beside its tuned setting, where both ran; None where none did."""
    sides: dict[tuple[str, str], dict[bool, list[Record]]] = defaultdict(lambda: {True: [], False: []})
    for record in records:
        if record.status in FINISHED:
            tuned = bool((record.config.get("tuned") or {}).get("of"))
            sides[record.summary["model"], record.summary["optimizer"]][tuned].append(record)
    both = {cell: side for cell, side in sides.items() if all(side.values())}
    if not both:
        return None
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for (model, optimizer), side in sorted(both.items(), key=lambda item: (item[0][0], order(item[0][1]))):
        mean = {tuned: fmean(map(score.worth, side[tuned])) for tuned in (False, True)}
        gain = mean[True] - mean[False] if all(map(math.isfinite, mean.values())) else math.inf
        texts = [f"{score.shown(mean[tuned])} ({len(side[tuned])})" for tuned in (False, True)]
        cells = [Cell(text, records=side[tuned]) for text, tuned in zip(texts, (False, True), strict=True)]
        rows.append([model_name(model), look(optimizer).label, *cells, f"{gain:+.2f}"])
        long.append({"model": model, "optimizer": optimizer, "none": mean[False], "tuned": mean[True], "gain": gain})
    used = [record for side in both.values() for group in side.values() for record in group]
    caption = (
        f"{what}: {score.name} of one setting for all tasks, the optimizer's defaults (tuned=none), beside the tuned "
        f"one: means (n), and what tuning gains. {provenance(used)}"
    )
    return table(name, part, caption, used, ["model", "optimizer", "one for all", "tuned", "gain"], rows, long)
