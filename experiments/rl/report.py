"""Fig 9 of the paper and what stands behind it: return of an agent over environment steps as curves, table and learnt
policy; ACProp over eps; the tuning. Of which of them a run is a part, its settings say; what it is
worth, measures.py."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import fmean, median
from typing import Any

from acprop.report import comparisons, tuning
from acprop.report.again import again
from acprop.report.artefacts import Artefact, Cell, figure, table
from acprop.report.cells import column, fields
from acprop.report.figures import legend_below, subplots
from acprop.report.records import Cells, by_budget, by_cell, file_name, labels_of, provenance, row_label, runs_told
from acprop.report.settings import in_grid, is_tuned, tunes
from acprop.report.stats import probability_of_improvement, summarize
from acprop.report.style import dataset_name, look
from acprop.runs.conf import roster
from acprop.runs.record import Record
from experiments.rl.measures import LAST, MEAN, POLICY, curve, done, last_return, mean_return, steps_to_near_optimum

SPANS = ("scale",)  # tuned at one, reported at another
EPS = "rl_eps"  # the sweep of ACProp over eps
SCORE = comparisons.Score("mean return", mean_return, True, ("eval", "return"), positive=False)


def artefacts(records: list[Record]) -> Iterator[Artefact]:
    for (dataset, scale), every in by_budget(records).items():
        by_model: dict[str, list[Record]] = defaultdict(list)
        for record in every:
            by_model[record.summary["model"]].append(record)
        for model, group in by_model.items():

            def name(stem: str, model: str = model, dataset: str = dataset, scale: str = scale) -> str:
                return file_name(stem if model == "dqn" else f"{stem}-{model}", dataset, scale)

            reported = [record for record in group if not tunes(record)]
            swept = [record for record in reported if in_grid(EPS, record)]
            if len({record.hash for record in swept}) < 2:
                swept = []
            main = [record for record in reported if is_tuned(record) or record not in swept]
            tried = [record for record in group if tunes(record)]
            if main:
                yield from fig9(name, main)
                yield from comparisons.of_cells(name("fig9"), "fig9", _where(main), by_cell(main), SCORE)
            if swept:
                yield from over_eps(name("rl_eps"), swept)
            if tried:
                names = name("rl_sweep"), name("rl_settings")
                where = f"Fig 9, {_where(tried)}"
                yield from tuning.artefacts(names, "fig9", where, tried, records, SCORE, _budget, [LAST], digits=3)


def by_label(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Row label -> records, in the paper's order."""
    cells = by_cell(records)
    found = {label: group for (_, label), group in cells.items()}
    return {label: found[label] for label in labels_of(cells)}


# -- Fig 9 -----------------------------------------------------------------------------------------------------------


def fig9(name: Any, records: list[Record]) -> Iterator[Artefact]:
    yield fig9_table(name("fig9"), records)
    cells = {label: group for label, cell in by_label(records).items() if (group := done(cell))}
    if cells:
        shown = f"{_where(records)}: return over environment steps; line: mean, band: range over runs"
        yield figure(name("fig9"), "fig9", shown, records, lambda: _curves(records, cells))
    if learnt := _policies(records):
        shown = f"{_where(records)}: the greedy policy that each optimizer's first seed learnt, beside the best one"
        of = [record for record, _ in learnt.values()]
        yield figure(name("fig9_policy"), "fig9", shown, of, lambda: _draw_policies(records, learnt))


def _budget(config: dict[str, Any]) -> str:
    return f"{config['steps']} environment steps"


def _where(records: list[Record]) -> str:
    first = records[0].summary
    return f"{first['model'].upper()} on {dataset_name(first['dataset'])}, scale {first['scale']}"


def fig9_table(name: str, records: list[Record]) -> Artefact:
    cells: Cells = by_cell(records)
    model = records[0].summary["model"]
    labels = labels_of(cells, roster("fig9"))
    groups = [cells.get((model, label), []) for label in labels]
    optimum = records[0].summary.get("optimum")
    measures = [LAST, MEAN, *([] if optimum is None else [POLICY])]
    columns = [column(groups, measure) for measure in measures]
    adam = [mean_return(record) for record in done(cells.get((model, "adam"), []))]
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for index, (label, group) in enumerate(zip(labels, groups, strict=True)):
        finished = done(group)
        better = probability_of_improvement([mean_return(record) for record in finished], adam)
        told = "" if label == "adam" or better is None else "{:.2f} [{:.2f}, {:.2f}]".format(*better)
        near = [] if optimum is None else [_reached(finished)]
        rows.append([row_label(label), settings(group), *(cell[index] for cell in columns), *near, told])
        steps = [f"{steps_to_near_optimum(record):g}" for record in finished if optimum is not None]
        lead = {"optimizer": label, "settings": settings(group), "n": len(finished), **fields(group, measures)}
        versus = dict(zip(("better_than_adam", "better_low", "better_high"), better or [""] * 3, strict=True))
        long.append({**lead, "steps_to_90": " ".join(steps), **versus})
    near = [] if optimum is None else ["steps to 90 % of optimum"]
    header = ["optimizer", "settings", *(measure.name for measure in measures), *near, "P(better than Adam)"]
    return table(name, "fig9", _caption(records, cells), records, header, rows, long)


def settings(records: Sequence[Record]) -> str:
    """The settings that the sweep varies, as the runs had them."""
    if not records:
        return ""
    optimizer = records[0].config["optimizer"]
    return ", ".join(f"{key} {optimizer[key]:g}" for key in ("lr", "eps", "momentum") if optimizer.get(key))


def _reached(records: list[Record]) -> str:
    """Median of the first steps near the optimum, and how many runs got there."""
    steps = [steps_to_near_optimum(record) for record in records]
    if not steps:
        return ""
    middle = median(steps)
    text = f"{middle:,.0f}" if math.isfinite(middle) else f"> {records[0].config['steps']:,}"
    return f"{text} ({sum(map(math.isfinite, steps))}/{len(steps)})"


def _caption(records: list[Record], cells: Cells) -> str:
    first = records[0]
    dataset, model = first.summary["dataset"], first.summary["model"].upper()
    optimum = first.summary.get("optimum")
    count = first.config["eval_episodes"]
    episodes = f"{count} episode{'s' * (count > 1)} each time"
    near = "" if optimum is None else "steps to 90 % of optimum: median (runs that got there); "
    bound = "" if optimum is None else (
        f" No policy has an expected return above {optimum:.3f} (backward induction over the time limit); a mean over "
        f"episodes can exceed it by chance, the learnt policy's exact expectation cannot."
    )  # fmt: skip
    return (
        f"Fig 9 on {dataset_name(dataset)}, {model}: undiscounted return, greedy evaluation, {episodes}; mean ± std (n)"
        f" and 95 % interval over seeds; last return: at the end, mean return: over training; {near}P(better than Adam)"
        f": by mean return, with its exact 95 % interval. Scale: {first.summary['scale']} ({first.config['steps']} "
        f"environment steps). Bold: interval apart from all others.{bound} {comparisons.ends_told(cells, SCORE.curve)}"
        f"{again(records)}{provenance(records)}"
    )


def _curves(records: list[Record], cells: dict[str, list[Record]]) -> Any:
    """A panel a row of the table: its mean and spread, ACProp's mean beside it."""
    columns = min(4, len(cells))
    rows = -(-len(cells) // columns)
    canvas, axes = subplots(
        rows, columns, figsize=(max(5.5, 1.75 * columns), 1.7 * rows + 0.7), sharex=True, sharey=True
    )
    optimum = records[0].summary.get("optimum")
    beside = {label: group for label, group in cells.items() if label.split(" ")[0] == "acprop"}
    for axis, (label, group) in zip(axes.flat, cells.items(), strict=False):
        for other, runs in beside.items() if len(beside) == 1 else ():
            if other != label:
                _draw_mean(axis, [curve(record) for record in runs], other, spread=False)
        _draw_mean(axis, [curve(record) for record in group], label)
        if optimum is not None:
            axis.axhline(optimum, color="0.4", lw=0.8)
        axis.set_title(f"{row_label(label)}, n = {len(group)}", fontsize=7)
        axis.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g}k")
    for empty in range(len(cells), axes.size):
        axes.flat[empty].axis("off")
        axes.flat[empty - columns].tick_params(labelbottom=True)
    canvas.supxlabel("environment steps", fontsize=8)
    canvas.supylabel("return of evaluation episodes", fontsize=8)
    told = "line: mean, band: range over runs"
    told += ", orange: ACProp's mean" if len(beside) == 1 else ""
    told += "" if optimum is None else f", grey: the best possible, {optimum:.3g}"
    canvas.suptitle(f"{_where(records)}\n{told}", fontsize=8)
    return canvas


def _draw_mean(axis: Any, curves: list[list[tuple[float, float]]], label: str, spread: bool = True) -> None:
    length = min(map(len, curves))
    steps = [step for step, _ in curves[0][:length]]
    columns = [[points[index][1] for points in curves] for index in range(length)]
    style = look(label.split(" ")[0])
    means = [fmean(column) for column in columns]
    axis.plot(steps, means, color=style.color, linestyle=style.linestyle, lw=1.3 if spread else 0.9)
    if spread and len(curves) > 1:
        axis.fill_between(steps, list(map(min, columns)), list(map(max, columns)), color=style.color, alpha=0.2, lw=0)


# -- the learnt policy -----------------------------------------------------------------------------------------------


def _policies(records: list[Record]) -> dict[str, tuple[Record, dict[str, Any]]]:
    """Row label -> (run, what it learnt), of the first seed that has it."""
    learnt = {}
    for label, group in by_label(records).items():
        for record in sorted(done(group), key=lambda record: record.summary["seed"]):
            if record.names("policy.json"):
                learnt[label] = (record, record.parse("policy.json", json.loads))
                break
    return learnt


def _draw_policies(records: list[Record], learnt: dict[str, tuple[Record, dict[str, Any]]]) -> Any:
    best = next(iter(learnt.values()))[1]
    panels = [("value iteration", best, best["optimal_q"])]
    for label, (record, policy) in learnt.items():
        value = record.summary["final"]["policy/return"]
        panels.append((f"{row_label(label)}, seed {record.summary['seed']}: {value:.3f}", policy, policy["learnt_q"]))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    canvas, axes = subplots(rows, columns, figsize=(2.1 * columns, 2.25 * rows + 0.5))
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (title, policy, q) in zip(axes.flat, panels, strict=False):
        image = _draw_policy(axis, policy, q)
        axis.set_title(title, fontsize=7)
    canvas.colorbar(image, ax=axes, shrink=0.6, label=f"largest Q (discount {best['discount']:g})")
    canvas.suptitle(
        f"Greedy policies on four-rooms, scale {records[0].summary['scale']}; number: exact expected return of the "
        "whole policy;\nred: costs more than 0.01 against the best action; square: goal", fontsize=8,
    )  # fmt: skip
    return canvas


def _draw_policy(axis: Any, policy: dict[str, Any], q: list[list[float]]) -> Any:
    import numpy as np

    values, best, cells = np.array(q), np.array(policy["optimal_q"]), np.array(policy["cells"])
    image = np.full((len(policy["layout"]), len(policy["layout"][0])), np.nan)
    image[cells[:, 0], cells[:, 1]] = values.max(1)
    image[tuple(policy["goal"])] = np.nan
    axis.set_facecolor("0.25")
    drawn = axis.imshow(image, vmin=0, vmax=1, cmap="viridis")
    axis.plot(policy["goal"][1], policy["goal"][0], "s", color="white", ms=5)
    action = values.argmax(1)
    moves, wrong = np.array(policy["moves"])[action], best.max(1) - best[np.arange(len(best)), action] > 0.01
    shown = (cells != policy["goal"]).any(1)
    axis.quiver(
        cells[shown, 1], cells[shown, 0], moves[shown, 1], moves[shown, 0], angles="xy", pivot="mid", scale=16,
        color=np.where(wrong, "#FF4040", "white")[shown], width=0.009, headwidth=4, headlength=4, headaxislength=3.5,
    )  # fmt: skip
    axis.set(xticks=[], yticks=[])
    return drawn


# -- ACProp over eps -------------------------------------------------------------------------------------------------


def _by_eps(records: list[Record]) -> dict[float, list[Record]]:
    groups: dict[float, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.config["optimizer"]["eps"]].append(record)
    return dict(sorted(groups.items(), reverse=True))


def largest_step(record: Record) -> float:
    """The farthest that a single weight moved in a single update, in units of lr."""
    return max(value for _, value in record.curve("train", "max_update_per_lr"))


def over_eps(name: str, records: list[Record]) -> Iterator[Artefact]:
    yield eps_table(name, records)
    if groups := {eps: group for eps, cell in _by_eps(records).items() if (group := done(cell))}:
        shown = f"ACProp over eps, {_where(records)}: return, and the largest step of a weight"
        yield figure(name, "fig9", shown, records, partial(_draw_eps, records, groups))


def eps_table(name: str, records: list[Record]) -> Artefact:
    rows: list[list[str | Cell]] = []
    long: list[dict[str, object]] = []
    for eps, group in _by_eps(records).items():
        steps = sorted(map(largest_step, done(group))) or [math.nan]
        text = [f"{step:,.0f}" if step >= 10 else f"{step:.2g}" for step in (median(steps), steps[0], steps[-1])]
        spread = f"{text[0]} ({text[1]} to {text[2]})"
        cells = [Cell(column([group], measure)[0].text, records=group) for measure in (LAST, MEAN)]
        rows.append([f"{eps:g}", *cells, spread])
        largest = {"largest_step_per_lr": " ".join(f"{step:.6g}" for step in steps)}
        long.append({"eps": eps, **fields(group, [LAST, MEAN]), **largest})
    lr, first = records[0].config["optimizer"]["lr"], records[0]
    caption = (
        f"ACProp over eps, {_where(records)}, lr {lr:g}: as Fig 9; largest step: farthest that one weight moved in one "
        f"update, in units of lr, median (range) over runs. {first.config['steps']} environment steps. "
        f"{provenance(records)}"
    )
    header = ["eps", "last return", "mean return", "largest step / lr"]
    return table(name, "fig9", caption, records, header, rows, long)


def _draw_eps(records: list[Record], groups: dict[float, list[Record]]) -> Any:
    canvas, axes = subplots(1, 2, figsize=(6.4, 2.7))
    returns, steps = axes[0]
    for measure, name, style in ((last_return, "at the end", "-"), (mean_return, "mean over training", ":")):
        summaries = [summarize([measure(record) for record in group]) for group in groups.values()]
        returns.plot(
            list(groups), [s.mean for s in summaries if s], style, marker="o", ms=3, color=look("acprop").color,
            label=name,
        )  # fmt: skip
    for eps, group in groups.items():
        returns.plot([eps] * len(group), [last_return(r) for r in group], ".", ms=4, color="0.5", zorder=0)
        steps.plot([eps] * len(group), [largest_step(r) for r in group], ".", ms=6, color=look("acprop").color)
    if (optimum := records[0].summary.get("optimum")) is not None:
        returns.axhline(optimum, color="0.4", lw=0.8, label="optimum")
    returns.set(xscale="log", xlabel="eps", ylabel="return of evaluation episodes")
    steps.set(xscale="log", yscale="log", xlabel="eps", ylabel="largest step of one weight / lr")
    for axis in (returns, steps):
        axis.set(xticks=list(groups), xlim=(max(groups) * 5, min(groups) / 5))
        axis.minorticks_off()
    legend_below(canvas, axes)
    lr, scale = records[0].config["optimizer"]["lr"], records[0].summary["scale"]
    told = runs_told({("", f"{eps:g}"): group for eps, group in groups.items()})
    canvas.suptitle(f"ACProp over eps: DQN on four-rooms, lr {lr:g}, scale {scale}, {told}", fontsize=9)
    return canvas
