"""Fig 9 of the paper and what stands behind it: return of an agent over environment steps as curves, table and learnt
policy; ACProp over eps; and, in sweep.py, the tuning.

A run is measured by its evaluation episodes alone: the last mean return; the mean return over training (area under the
curve over its length); the first step at which 90 % of the optimum was reached.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from acprop.report import results_root
from acprop.report.figures import legend_below, subplots
from acprop.report.records import by_budget, by_cell, cell_text, file_name, provenance, row_label
from acprop.report.stats import Summary, probability_of_improvement, separate_winner, summarize
from acprop.report.style import DATASETS, look, order
from acprop.report.tables import write_table
from acprop.runs.record import Record

FIG9 = ("sgd", "adam", "radam", "rmsprop", "adashift", "adabelief", "acprop")
NEAR = 0.9  # of the optimum


def write_all(tables: bool = True, figures: bool = True) -> list[Path]:
    """Rebuilds every RL table and figure from the records; returns the paths without suffix."""
    from experiments.rl import sweep as rl_sweep

    writers = {
        "fig9": [
            ("tables", "fig9", fig9_table),
            ("figures", "fig9", fig9_figure),
            ("figures", "fig9_policy", policy_figure),
        ],
        "eps": [("tables", "rl_eps", eps_table), ("figures", "rl_eps", eps_figure)],
        "sweep": [("tables", "rl_sweep", rl_sweep.table)],
    }
    written = []
    for (dataset, scale), records in by_budget("rl").items():
        groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in records:
            groups[record.config["figure"], record.summary["model"]].append(record)
        for (name, model), group in groups.items():
            for kind, stem, write in writers.get(name, []):
                path = results_root() / kind / file_name(stem if model == "dqn" else f"{stem}-{model}", dataset, scale)
                if {"tables": tables, "figures": figures}[kind] and write(path, group):
                    written.append(path)
    return written


# -- measures of a run -----------------------------------------------------------------------------------------------


def curve(record: Record) -> list[tuple[float, float]]:
    return record.curve("eval", "return", over="step")


def last_return(record: Record) -> float:
    return record.summary["final"]["eval/return"]


def mean_return(record: Record) -> float:
    """Area under the evaluation curve (trapezoids) over its length in steps."""
    points = curve(record)
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))
    return area / (points[-1][0] - points[0][0])


def steps_to_near_optimum(record: Record) -> float:
    """Infinite if it was never reached."""
    target = NEAR * record.summary["optimum"]
    return next((step for step, value in curve(record) if value >= target), math.inf)


def done(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.status == "done"]


def by_label(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Row label -> records, in the paper's order."""
    cells = {label: group for (_, label), group in by_cell(records).items()}
    return {label: cells[label] for label in sorted(cells, key=lambda label: (order(label.split(" ")[0]), label))}


# -- Fig 9 -----------------------------------------------------------------------------------------------------------


def fig9_table(path: Path, records: list[Record]) -> bool:
    cells = by_label(records)
    for name in FIG9:
        if not any(label.split(" ")[0] == name for label in cells):
            cells[name] = []
    labels = sorted(cells, key=lambda label: (order(label.split(" ")[0]), label))
    optimum = records[0].summary.get("optimum")
    measures: dict[str, Callable[[Record], float]] = {"last return": last_return, "mean return": mean_return}
    if optimum is not None:
        measures["learnt policy, exact"] = lambda record: record.summary["final"]["policy/return"]
    summaries = {
        name: [summarize([measure(record) for record in done(cells[label])]) for label in labels]
        for name, measure in measures.items()
    }
    adam = [mean_return(record) for record in done(cells.get("adam", []))]
    rows, long = [], []
    for index, label in enumerate(labels):
        group, finished = cells[label], done(cells[label])
        row = [row_label(label), settings(group)]
        for values in summaries.values():
            text = cell_text(group, values[index], 3)
            row.append(f"**{text}**" if index == separate_winner(values) else text)
        better = probability_of_improvement([mean_return(record) for record in finished], adam)
        if optimum is not None:
            row.append(_reached(finished))
        row.append("" if label == "adam" or better is None else "{:.2f} [{:.2f}, {:.2f}]".format(*better))
        rows.append(row)
        long.append(
            {
                "optimizer": label, "settings": settings(group), "n": len(finished),
                "seeds": " ".join(str(record.summary["seed"]) for record in finished),
                **{k: v for name, values in summaries.items() for k, v in _fields(name, values[index]).items()},
                "steps_to_90": " ".join(f"{steps_to_near_optimum(r):g}" for r in finished if optimum is not None),
                **dict(zip(("better_than_adam", "better_low", "better_high"), better or [""] * 3, strict=True)),
            }
        )  # fmt: skip
    near = [] if optimum is None else ["steps to 90 % of optimum"]
    write_table(path, _caption(records), ["optimizer", "settings", *measures, *near, "P(better than Adam)"], rows, long)
    return True


def settings(records: Sequence[Record]) -> str:
    """The settings that the sweep varies, as the runs had them."""
    if not records:
        return ""
    optimizer = records[0].config["optimizer"]
    return ", ".join(f"{key} {optimizer[key]:g}" for key in ("lr", "eps", "momentum") if optimizer.get(key))


def _fields(name: str, summary: Summary | None) -> dict[str, object]:
    key = name.replace(", ", "_").replace(" ", "_")
    values = {field: getattr(summary, field, None) for field in ("mean", "std", "low", "high")}
    return {f"{key}_{field}": "" if value is None else round(value, 5) for field, value in values.items()}


def _reached(records: list[Record]) -> str:
    """Median of the first steps near the optimum, and how many runs got there."""
    steps = [steps_to_near_optimum(record) for record in records]
    if not steps:
        return ""
    middle = median(steps)
    text = f"{middle:,.0f}" if math.isfinite(middle) else f"> {records[0].config['steps']:,}"
    return f"{text} ({sum(map(math.isfinite, steps))}/{len(steps)})"


def _caption(records: list[Record]) -> str:
    first = records[0]
    dataset, model = first.summary["dataset"], first.summary["model"].upper()
    optimum = first.summary.get("optimum")
    bound = "" if optimum is None else (
        f" No policy has an expected return above {optimum:.3f} (backward induction over the time limit); a mean over "
        f"episodes can exceed it by chance, the learnt policy's exact expectation cannot."
    )  # fmt: skip
    return (
        f"Fig 9 on {DATASETS.get(dataset, dataset)}, {model}: undiscounted return of {first.config['eval_episodes']} "
        f"greedy evaluation episodes; mean ± std (n) and 95 % interval over seeds; last return: at the end; mean "
        f"return: over training; steps to 90 % of optimum: median (runs that got there); P(better than Adam): by mean "
        f"return, with 95 % bootstrap interval. Scale: {first.summary['scale']} ({first.config['steps']} environment "
        f"steps). Bold: interval apart from all others.{bound} {provenance(records)}"
    )


def fig9_figure(path: Path, records: list[Record]) -> bool:
    cells = {label: group for label, cell in by_label(records).items() if (group := done(cell))}
    if not cells:
        return False
    first = records[0]
    with subplots(path, figsize=(5.6, 3.6)) as (figure, axes):
        axis = axes[0][0]
        for label, group in cells.items():
            _draw_mean(axis, [curve(record) for record in group], label)
        if (optimum := first.summary.get("optimum")) is not None:
            axis.axhline(optimum, color="0.4", lw=0.8, label="optimum")
        axis.set(xlabel="environment steps", ylabel="return of evaluation episodes")
        counts = {len(group) for group in cells.values()}
        runs = f"{min(counts)}" + (f"–{max(counts)}" if len(counts) > 1 else "")
        dataset, model = first.summary["dataset"], first.summary["model"].upper()
        name = f"{model} on {DATASETS.get(dataset, dataset)}, scale {first.summary['scale']}"
        figure.suptitle(f"{name}: mean and 95 % interval over {runs} runs", fontsize=9)
        legend_below(figure, axes, columns=4)
    return True


def _draw_mean(axis: Any, curves: list[list[tuple[float, float]]], label: str) -> None:
    length = min(map(len, curves))
    steps = [step for step, _ in curves[0][:length]]
    columns = [summarize([points[i][1] for points in curves]) for i in range(length)]
    summaries = [summary for summary in columns if summary]
    style = look(label.split(" ")[0])
    axis.plot(
        steps, [s.mean for s in summaries], color=style.color, linestyle=style.linestyle, lw=1.3, label=row_label(label)
    )
    if len(curves) > 1:
        low, high = [s.low for s in summaries], [s.high for s in summaries]
        axis.fill_between(steps, low, high, color=style.color, alpha=0.15, lw=0)


# -- the learnt policy -----------------------------------------------------------------------------------------------


def policy_figure(path: Path, records: list[Record]) -> bool:
    """What each optimizer's first seed has learnt, beside the best policy."""
    learnt: dict[str, tuple[Record, dict[str, Any]]] = {}
    for label, group in by_label(records).items():
        for record in sorted(done(group), key=lambda record: record.summary["seed"]):
            if (record.path / "policy.json").exists():
                learnt.setdefault(label, (record, json.loads((record.path / "policy.json").read_text())))
    if not learnt:
        return False
    best = next(iter(learnt.values()))[1]
    panels = [("value iteration", best, best["optimal_q"])]
    for label, (record, policy) in learnt.items():
        value = record.summary["final"]["policy/return"]
        panels.append((f"{row_label(label)}, seed {record.summary['seed']}: {value:.3f}", policy, policy["learnt_q"]))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    with subplots(path, rows, columns, figsize=(2.1 * columns, 2.25 * rows + 0.5)) as (figure, axes):
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        for axis, (title, policy, q) in zip(axes.flat, panels, strict=False):
            image = _draw_policy(axis, policy, q)
            axis.set_title(title, fontsize=7)
        figure.colorbar(image, ax=axes, shrink=0.6, label=f"largest Q (discount {best['discount']:g})")
        figure.suptitle(
            f"Greedy policies on four-rooms, scale {records[0].summary['scale']}; number: exact expected return of the "
            "whole policy;\nred: costs more than 0.01 against the best action; square: goal", fontsize=8,
        )  # fmt: skip
    return True


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


def eps_table(path: Path, records: list[Record]) -> bool:
    rows, long = [], []
    for eps, group in _by_eps(records).items():
        finished = done(group)
        steps = sorted(map(largest_step, finished)) or [math.nan]
        values = {
            name: summarize([measure(record) for record in finished])
            for name, measure in (("last return", last_return), ("mean return", mean_return))
        }
        text = [f"{step:,.0f}" if step >= 10 else f"{step:.2g}" for step in (median(steps), steps[0], steps[-1])]
        spread = f"{text[0]} ({text[1]} to {text[2]})"
        rows.append([f"{eps:g}", *(cell_text(group, summary, 3) for summary in values.values()), spread])
        fields = {k: v for name, summary in values.items() for k, v in _fields(name, summary).items()}
        largest = {"largest_step_per_lr": " ".join(f"{step:.6g}" for step in steps)}
        long.append({"eps": eps, "n": len(finished), **fields, **largest})
    lr, first = records[0].config["optimizer"]["lr"], records[0]
    caption = (
        f"ACProp over eps, {first.summary['model'].upper()} on four-rooms, lr {lr:g}: as Fig 9; largest step: farthest "
        f"that one weight moved in one update, in units of lr, median (range) over runs. Scale: "
        f"{first.summary['scale']} ({first.config['steps']} environment steps). {provenance(records)}"
    )
    write_table(path, caption, ["eps", "last return", "mean return", "largest step / lr"], rows, long)
    return True


def eps_figure(path: Path, records: list[Record]) -> bool:
    groups = {eps: group for eps, cell in _by_eps(records).items() if (group := done(cell))}
    if not groups:
        return False
    with subplots(path, 1, 2, figsize=(6.4, 2.7)) as (figure, axes):
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
        legend_below(figure, axes)
        lr, count = records[0].config["optimizer"]["lr"], len(next(iter(groups.values())))
        scale = records[0].summary["scale"]
        figure.suptitle(f"ACProp over eps: DQN on four-rooms, lr {lr:g}, scale {scale}; runs: {count} each", fontsize=9)
    return True
