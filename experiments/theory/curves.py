"""What the theory shows beside its maps: trajectories, second moments, Rosenbrock, the MLP, rate and cost."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from acprop.report.figures import legend_below, subplots
from acprop.report.records import provenance
from acprop.report.stats import summarize
from acprop.report.style import dataset_name, look, order
from acprop.runs.record import Record

WIDTH = 5.5  # inches: the text width of the paper
Table = tuple[str, Sequence[str], Sequence[Sequence[str]], list[dict[str, object]]]  # caption, header, rows, CSV rows


def _line(axis: Any, x: Any, y: Any, name: str, **options: Any) -> None:
    style = look(name)
    axis.plot(x, y, color=style.color, linestyle=style.linestyle, label=style.label, **{"lw": 1.3, **options})


# -- Fig 2 and Fig 4 ------------------------------------------------------------------------------------------------


def fig2(records: list[Record]) -> Any:
    (record,) = records
    study, arrays = record.config["study"], record.arrays
    figure, axes = subplots(figsize=(WIDTH, 2.9))
    axis = axes[0, 0]
    for name, x in zip(study["optimizers"], arrays["x"], strict=True):
        _line(axis, arrays["t"], x, name)
    axis.axhline(-1, color="black", lw=0.5)
    axis.text(arrays["t"][-1], -0.97, "optimum", fontsize=7, ha="right", va="bottom")
    axis.set(xscale="log", xlabel="step t", ylabel="x")
    legend_below(figure, axes, columns=4)
    figure.suptitle(
        f"Fig 2: x on Eq.1; P = {study['P']}, β1 = {study['beta1']:g}, β2 = {study['beta2']:g}, "
        f"lr = {study['lr']:g}/√t, x0 = {study['x0']:g}, T = {arrays['t'][-1]:,}",
        fontsize=7.5,
    )
    return figure


def fig4(records: list[Record]) -> Any:
    (record,) = records
    study, arrays = record.config["study"], record.arrays
    figure, axes = subplots(figsize=(WIDTH, 2.6))
    axis = axes[0, 0]
    axis.semilogy(arrays["t"], arrays["v"], color="#0072B2", ls="--", lw=1.3, label="v, around zero")
    axis.semilogy(arrays["t"], arrays["s"], color="#D55E00", lw=1.3, label="s, around the mean (ACProp)")
    for sign, marker, text in ((1, "^", "gradient P/2"), (-1, "v", "gradient −1")):
        t = arrays["t"][np.sign(arrays["g"]) == sign]
        axis.semilogy(t, np.full(len(t), arrays["v"].min() / 3), marker, color="black", ms=3, ls="", label=text)
    axis.set(xlabel="step t", ylabel="second moment")
    legend_below(figure, axes)
    title = f"Fig 4: second moments on Eq.2; P = {study['P']}, β1 = {study['beta1']:g}, β2 = {study['beta2']:g}"
    figure.suptitle(title, fontsize=7.5)
    return figure


# -- Rosenbrock -----------------------------------------------------------------------------------------------------


def rosenbrock(records: list[Record]) -> Any:
    (record,) = records
    study, arrays = record.config["study"], record.arrays
    figure, axes = subplots(1, 2, figsize=(WIDTH, 2.9))
    curve, plane = axes[0]
    x, y = np.meshgrid(np.linspace(-6, 6, 300), np.linspace(-4, 16, 300))
    height = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    plane.contour(x, y, height, np.geomspace(1, 1e5, 11), colors="0.8", linewidths=0.5)
    for name, lr, path_xy, distance in zip(
        study["optimizers"], arrays["lr"], arrays["path"], arrays["distance"], strict=True
    ):
        curve.loglog(
            arrays["t"], _smooth(distance), color=look(name).color, ls=look(name).linestyle, lw=1.2,
            label=f"{look(name).label} (lr {lr:g})",
        )  # fmt: skip
        whole = np.concatenate([[study["x0"]], path_xy])
        plane.plot(whole[:, 0], whole[:, 1], color=look(name).color, ls=look(name).linestyle, lw=1)
    plane.plot(1, 1, "k*", ms=6)
    plane.plot(*study["x0"], "ko", ms=3)
    plane.set(xlim=(-4.5, 2), ylim=(-2.5, 4), xlabel="x", ylabel="y", title="paths")
    curve.set(ylim=(1e-7, 20), xlabel="step", ylabel="distance to (1, 1)", title="distance (running median)")
    legend_below(figure, axes, columns=3)
    start = ", ".join(f"{value:g}" for value in study["x0"])
    figure.suptitle(
        f"Rosenbrock from ({start}); β1 = {study['beta1']:g}, β2 = {study['beta2']:g}, constant lr, "
        f"the best of {len(study['lrs'])} for each",
        fontsize=7.5,
    )
    return figure


def _smooth(values: np.ndarray, window: int = 25) -> np.ndarray:
    """A running median: what swings from step to step would hide every other line."""
    padded = np.pad(values, window // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=-1)


def rosenbrock_table(records: list[Record]) -> Table:
    (record,) = records
    study, final = record.config["study"], record.summary["final"]
    keys = ("lr", "distance", "loss")
    rules = {"mean": "", "final": "/by_final", "published": "/published"}
    long: list[dict[str, object]] = [
        {"optimizer": name, "lr_by": rule, **{key: final[f"{name}{suffix}/{key}"] for key in keys}}
        for name in study["optimizers"]
        for rule, suffix in rules.items()
        if f"{name}{suffix}/lr" in final
    ]
    cells = {(r["optimizer"], r["lr_by"]): f"{r['distance']:.3g} (lr {r['lr']:g})" for r in long}
    rows = [[look(name).label, *(cells.get((name, rule), "") for rule in rules)] for name in study["optimizers"]]
    caption = (
        f"Rosenbrock from {tuple(study['x0'])} after {record.arrays['t'][-1]:,} steps: distance to (1, 1), at the lr "
        f"of {study['lrs']} with the smallest mean distance over the run, at that with the smallest distance at the "
        "end, and at the lr that the published curve follows. Which optimizer is nearest depends on the rule. "
        f"{provenance(records)}"
    )
    header = ["optimizer", "lr by mean distance", "lr by final distance", "lr of the published curve"]
    return caption, header, rows, long


# -- Fig 5 ----------------------------------------------------------------------------------------------------------


def _by_optimizer(records: list[Record]) -> dict[str, list[Record]]:
    names = sorted({record.summary["optimizer"] for record in records}, key=order)
    return {name: [r for r in records if r.summary["optimizer"] == name] for name in names}


def fig5(records: list[Record]) -> Any:
    figure, axes = subplots(1, 2, figsize=(WIDTH, 2.6))
    for axis, metric, title in zip(
        axes[0], ("denominator", "loss"), ("(a) mean denominator", "(b) training loss"), strict=True
    ):
        for name, group in _by_optimizer(records).items():
            every = [record.curve("train", metric) for record in group]
            values = np.array([[value for _, value in curve] for curve in every])
            epochs = [epoch for epoch, _ in every[0]]
            _line(axis, epochs, values.mean(0), name)
            axis.fill_between(epochs, values.min(0), values.max(0), color=look(name).color, alpha=0.15, lw=0)
        axis.set(yscale="log", xlabel="epoch", title=title)
    legend_below(figure, axes)
    figure.suptitle(_mlp_told(records), fontsize=7.5)
    return figure


def _mlp_told(records: list[Record]) -> str:
    study = records[0].config["study"]
    seeds = len({record.summary["seed"] for record in records})
    data = dataset_name(records[0].summary["dataset"])
    rates = sorted({f"{record.config['optimizer']['lr']:g}" for record in records})
    return (
        f"Fig 5a,b: 2-layer MLP ({study['hidden']} hidden units) on {data}, batch {study['batch_size']}, "
        f"lr {', '.join(rates)}; mean and range of {seeds} seed(s)"
    )


def fig5_table(records: list[Record]) -> Table:
    rows, long = [], []
    for name, group in _by_optimizer(records).items():
        row, entry = [look(name).label], {"optimizer": name, "seeds": len(group)}
        for metric, digits in (("denominator", 5), ("loss", 5), ("top1", 2)):
            summary = summarize([record.summary["final"][f"train/{metric}"] for record in group])
            assert summary
            row.append(summary.text(digits))
            entry |= {f"{metric}_mean": summary.mean, f"{metric}_std": "" if summary.std is None else summary.std}
        rows.append(row)
        long.append(entry)
    caption = f"{_mlp_told(records)}, at the last epoch: mean ± std (n). {provenance(records)}"
    return caption, ["optimizer", "mean denominator", "training loss", "training top-1 (%)"], rows, long


# -- rate -----------------------------------------------------------------------------------------------------------


def rate(records: list[Record]) -> Any:
    (record,) = records
    study, arrays = record.config["study"], record.arrays
    problems = study["problems"]
    figure, axes = subplots(1, len(problems), figsize=(WIDTH, 2.8))
    T = arrays["T"]
    for axis, problem, norms in zip(axes[0], problems, arrays["norms"], strict=True):
        # times sqrt(T), and 1 at the smallest T: a rate of 1/sqrt(T) is flat, a factor log T rises
        scaled = norms.mean(-1) * np.sqrt(T)
        for name, values in zip(study["optimizers"], scaled, strict=True):
            _line(axis, T, values / values[0], name, marker=".", ms=3, lw=1)
        axis.axhline(1, color="black", lw=0.8, label="1/√T")
        axis.plot(T, np.log(T) / np.log(T[0]), color="black", ls=":", lw=0.8, label="log T/√T")
        axis.set(xscale="log", xlabel="T", title=problem.replace("_", " "))
    axes[0, 0].set_ylabel("squared gradient norm × √T,\nof its value at the smallest T")
    legend_below(figure, axes, columns=4)
    figure.suptitle(_rate_told(record), fontsize=7.5)
    return figure


def _rate_told(record: Record) -> str:
    study = record.config["study"]
    lr = f"lr = {study['a0']:g}/√t" if study["decaying"] else f"constant lr = {study['a0']:g}/√T"
    return f"Rate: {lr}, β1 = {study['beta1']:g}, β2 = {study['beta2']:g}, {study['seeds']} seeds"


def rate_table(records: list[Record]) -> Table:
    (record,) = records
    study, final, T = record.config["study"], record.summary["final"], record.arrays["T"]
    long: list[dict[str, object]] = [
        {"problem": problem, "optimizer": name, **{k: final[f"{problem}/{name}/{k}"] for k in ("slope", "low", "high")}}
        for problem in study["problems"]
        for name in study["optimizers"]
    ]
    cells = {(r["problem"], r["optimizer"]): f"{r['slope']:.3f} [{r['low']:.3f}, {r['high']:.3f}]" for r in long}
    rows = [[look(name).label, *(cells[p, name] for p in study["problems"])] for name in study["optimizers"]]
    caption = (
        f"{_rate_told(record)}: slope of log(squared gradient norm, averaged over the run) against log T, T from "
        f"{T[0]:,} to {T[-1]:,}, 95 % bootstrap interval over seeds. The theorem is an upper bound "
        f"c/√T for ACProp; every slope is an observation. {provenance(records)}"
    )
    return caption, ["optimizer", *(p.replace("_", " ") for p in study["problems"])], rows, long


# -- region and steps ------------------------------------------------------------------------------------------------


def region_table(records: list[Record]) -> Table:
    """Rows: optimizers, then wrong ones; columns: problem and beta1; cells that diverge in the limit."""
    records = sorted(records, key=lambda record: str(record.summary["dataset"]))
    long: list[dict[str, object]] = []
    for record in records:
        study, arrays = record.config["study"], record.arrays
        for name, cells in zip([*study["optimizers"], *study["mutants"]], arrays["converges"], strict=True):
            for b1, plane in zip(study["beta1"], cells, strict=True):
                at = arrays["P"][~plane.all(-1)]
                long.append(
                    {
                        "problem": record.summary["dataset"], "optimizer": name, "beta1": b1, "cells": plane.size,
                        "diverge": int((~plane).sum()), "smallest_P": int(at[0]) if len(at) else "",
                    }
                )  # fmt: skip
    cells_of = {(r["problem"], r["optimizer"], r["beta1"]): str(r["diverge"]) for r in long}
    problems = [record.summary["dataset"] for record in records]
    names = list(dict.fromkeys(str(r["optimizer"]) for r in long))
    beta1 = records[0].config["study"]["beta1"]
    rows = [
        [_label_of(name, records[0]), problem.replace("eq", "Eq."), *(cells_of[problem, name, b1] for b1 in beta1)]
        for problem in problems
        for name in names
    ]
    first = records[0].arrays
    caption = (
        f"Where x does not go to its optimum as T → ∞, over β2 of {len(first['beta2'])} and P of {first['P'][0]} to "
        f"{first['P'][-1]}: cells of {long[0]['cells']:,} at each β1 that diverge. Below the line of ACProp and its "
        f"rivals: ACProp with one thing wrong. {provenance(records)}"
    )
    return caption, ["optimizer", "problem", *(f"β1 = {b1:g}" for b1 in beta1)], rows, long


def authors_table(records: list[Record]) -> Table:
    (record,) = records
    final = record.summary["final"]
    long: list[dict[str, object]] = [
        {"optimizer": key.split("/")[0], "setting": "/".join(key.split("/")[1:-1]), "difference": value}
        for key, value in final.items()
    ]
    rows = [
        [_label_of(str(r["optimizer"]), record), str(r["setting"]) or "all plain ones", f"{r['difference']:.1e}"]
        for r in long
    ]
    caption = (
        "Largest relative difference of any of twelve steps from the authors' published class, in float64: ACProp of "
        f"this package in nine settings, and ACProp with one thing wrong. {provenance(records)}"
    )
    return caption, ["optimizer", "setting", "difference"], rows, long


def _label_of(name: str, record: Record) -> str:
    """A mutant says what it is."""
    return f"wrong: {look(name).label}" if name in record.config["study"]["mutants"] else look(name).label


# -- cost -----------------------------------------------------------------------------------------------------------


def cost_table(records: list[Record]) -> Table:
    (record,) = records
    arrays, lrs = record.arrays, len(record.config["study"]["criterion"]["lrs"])
    rows, long = [], []
    for columns, cells, seconds in zip(arrays["columns"], arrays["cells"], arrays["seconds"], strict=True):
        per = 1e9 * seconds[-1] / (cells * lrs * arrays["steps"][-1])
        rows.append([f"{columns}", f"{cells * lrs:,}", *(f"{s:.2f}" for s in seconds), f"{per:.1f}"])
        long += [
            {"columns": columns, "cells": cells * lrs, "steps": steps, "seconds": round(s, 4)}
            for steps, s in zip(arrays["steps"], seconds, strict=True)
        ]
    # the least-squares line: seconds a step = fixed + per_cell * cells
    work = np.repeat(arrays["cells"] * lrs, len(arrays["steps"]))
    per_cell, fixed = np.polyfit(work, (arrays["seconds"] / arrays["steps"]).ravel(), 1)
    times = [f"{steps:,} steps (s)" for steps in arrays["steps"]]
    header = ["columns of β2", "cells × lrs", *times, "ns a cell and step"]
    caption = (
        f"Cost of one panel ({look(record.config['study']['optimizer']).label} on "
        f"{record.summary['dataset'].replace('eq', 'Eq.')}, {lrs} lrs at once): seconds. The first row is the paper's "
        f"grid. Fitted: {1e6 * fixed:.0f} µs a step + {1e9 * per_cell:.1f} ns a cell and step. {provenance(records)}"
    )
    return caption, header, rows, long


class Study(NamedTuple):
    """What is shown of the studies of one name: which part of the paper they belong to, under which name, how they are
    drawn, what is to be seen there, and their table."""

    part: str
    name: str
    draw: Callable[[list[Record]], Any] | None = None
    shown: str = ""
    table: Callable[[list[Record]], Table] | None = None


STUDIES = {
    "fig2": Study("fig2", "fig2", fig2, "Fig 2: x over time on Eq.1 for each optimizer; the optimum is -1"),
    "fig4": Study("fig4", "fig4", fig4, "Fig 4: the second moment around zero and around the mean on Eq.2, over time"),
    "distance": Study(
        "rosenbrock", "rosenbrock", rosenbrock, "Rosenbrock: distance to (1, 1) over steps, and the paths",
        rosenbrock_table,
    ),
    "fig5": Study(
        "fig5", "fig5ab", fig5, "Fig 5a, b: mean denominator and training loss of a 2-layer MLP over epochs", fig5_table
    ),
    "rate": Study("theorem", "rate", rate, "Mean squared gradient norm against T on three problems", rate_table),
    "rate_decaying": Study(
        "theorem", "rate_decaying", rate, "Mean squared gradient norm against T where the step falls as 1/√t",
        rate_table,
    ),
    "region": Study("fig1", "theory_region", table=region_table),
    "authors": Study("method", "theory_authors", table=authors_table),
    "cost": Study("theorem", "theory_cost", table=cost_table),
}  # fmt: skip
