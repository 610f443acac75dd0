"""Sweeps over an optimizer's settings: what tuning chose by, and the figures in which every setting is a result."""

from collections import defaultdict
from pathlib import Path

from acprop.report.figures import legend_below, subplots
from acprop.report.records import by_cell, cell_text, labels_of, models_of, provenance, row_label
from acprop.report.stats import summarize
from acprop.report.style import DATASETS, MODELS, look, order
from acprop.report.tables import write_table
from acprop.runs.record import FINISHED, Record

TITLES = {
    "tuning": "Tuning behind Fig 6",
    "fig7": "Fig 7",
    "fig5cd": "Fig 5c, d",
}


def table(path: Path, records: list[Record]) -> None:
    """Last top-1 of every setting; where a setting was to be chosen, the largest of each optimizer is bold."""
    first = records[0]
    figure, held_out = first.config["figure"], first.config["held_out"]
    key = f"{'validation' if held_out else 'test'}/top1"
    cells = by_cell(records)
    models, labels = models_of(cells), labels_of(cells)
    summaries = {
        cell: summarize([r.summary["final"][key] for r in group if r.status == "done"]) for cell, group in cells.items()
    }
    largest: dict[tuple[str, str], float] = defaultdict(float)
    for (model, label), summary in summaries.items():
        optimizer = label.split(" ")[0]
        if summary:
            largest[model, optimizer] = max(largest[model, optimizer], summary.mean)
    rows, long = [], []
    for label in labels:
        row = [row_label(label)]
        for model in models:
            summary = summaries.get((model, label))
            text = cell_text(cells.get((model, label)), summary)
            chosen = figure == "tuning" and summary and summary.mean == largest[model, label.split(" ")[0]]
            row.append(f"**{text}**" if chosen else text)
            group = cells.get((model, label), [])
            long.append(
                {
                    "model": model, "optimizer": label.split(" ")[0],
                    "lr": group[0].config["optimizer"]["lr"] if group else "",
                    "eps": group[0].config["optimizer"].get("eps", "") if group else "",
                    "seeds": " ".join(str(r.summary["seed"]) for r in group if r.status == "done"),
                    key: round(summary.mean, 4) if summary else "", "chosen": "yes" if chosen else "",
                }
            )  # fmt: skip
        rows.append(row)
    judged = (
        f"top-1 in % on the {held_out:.0%} of the training images that were held out; bold: chosen, the largest of an "
        "optimizer (of equal ones the first of its grid)"
        if held_out
        else "test top-1 in % of the last epoch, mean ± std (n) and 95 % interval over seeds"
    )
    caption = (
        f"{TITLES[figure]} on {DATASETS.get(first.summary['dataset'], first.summary['dataset'])}: {judged}. "
        f"Scale: {first.summary['scale']}. {provenance(records)}"
    )
    write_table(path, caption, ["optimizer", *(MODELS[model] for model in models)], rows, long)


def figure(path: Path, records: list[Record]) -> None:
    """Last test top-1 over the learning rate, a line for each optimizer and eps: how much the choice matters."""
    models = [model for model in MODELS if any(r.summary["model"] == model for r in records)]
    with subplots(path, 1, len(models), figsize=(3.3 * len(models), 2.9)) as (canvas, axes):
        for axis, model in zip(axes[0], models, strict=True):
            lines: dict[tuple[str, float], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
            for record in records:
                settings = record.config["optimizer"]
                if record.summary["model"] == model and record.status in FINISHED:
                    value = record.summary["final"].get("test/top1") if record.status == "done" else 0.0
                    lines[record.summary["optimizer"], settings.get("eps", 0.0)][settings["lr"]].append(value or 0.0)
            for (optimizer, _), points in sorted(lines.items(), key=lambda item: (order(item[0][0]), -item[0][1])):
                style = look(optimizer)
                rates = sorted(points)
                means = [sum(points[rate]) / len(points[rate]) for rate in rates]
                axis.plot(
                    rates, means, "o", ms=2.5, lw=1, color=style.color, linestyle=style.linestyle, label=style.label
                )
            axis.set(title=MODELS[model], xlabel="learning rate", xscale="log")
        axes[0][0].set_ylabel("test top-1, last epoch (%)")
        legend_below(canvas, axes)
        first = records[0].summary
        canvas.suptitle(
            f"{TITLES[records[0].config['figure']]}, {DATASETS.get(first['dataset'], first['dataset'])}, scale "
            f"{first['scale']}; a line an eps; diverged: 0",
            fontsize=9,
        )
