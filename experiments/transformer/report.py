"""Table 3 of the paper: BLEU of the optimizers on four language pairs, with the validation curves behind it and sample
translations; one of each for the embedded pairs and one for IWSLT and TED, at every scale that has records."""

import csv
from collections import defaultdict
from pathlib import Path

from acprop.report import PUBLISHED, results_root
from acprop.report.figures import draw_runs, legend_below, subplots
from acprop.report.records import (
    Cells,
    by_budget,
    by_cell,
    cell_text,
    counts,
    file_name,
    labels_of,
    provenance,
    row_label,
    summary_fields,
)  # fmt: skip
from acprop.report.stats import separate_winner, summarize
from acprop.report.style import look
from acprop.report.tables import write_table
from acprop.runs.record import FINISHED, Record

TABLE3 = ("adam", "radam", "adashift", "adabelief", "acprop")
FAMILIES = {  # the table's four columns, in the paper's order
    "iwslt": {"iwslt14_de_en": "DE-EN", "iwslt15_en_vi": "EN-VI", "ted_ja_en": "JA-EN", "ted_ro_en": "RO-EN"},
    "cldr": {"cldr_de_en": "DE-EN", "cldr_vi_en": "VI-EN", "cldr_ja_en": "JA-EN", "cldr_ro_en": "RO-EN"},
}
TITLES = {"iwslt": "IWSLT and TED", "cldr": "embedded pairs"}
METRICS = {  # columns of the CSV -> values of the record
    "average": "test/bleu", "best": "test/best_bleu",
    "average_sacrebleu": "test/sacrebleu", "best_sacrebleu": "test/best_sacrebleu",
}  # fmt: skip


def write_all(tables: bool = True, figures: bool = True) -> list[Path]:
    """Rebuilds Table 3, its curves and its samples from the records; returns the paths without suffix."""
    groups: dict[tuple[str, str], Cells] = defaultdict(dict)
    for (dataset, scale), records in by_budget("transformer").items():
        family = next((name for name, pairs in FAMILIES.items() if dataset in pairs), None)
        if family:
            cells = {(dataset, label): group for (_, label), group in by_cell(records).items()}
            groups[family, scale].update(cells)
    written = []
    for (family, scale), cells in groups.items():
        name = file_name("table3", family, scale)
        if tables:
            _table(results_root() / "tables" / name, family, scale, cells)
            _samples(results_root() / "tables" / f"{name}_samples", family, scale, cells)
            written += [results_root() / "tables" / name, results_root() / "tables" / f"{name}_samples"]
        if figures:
            _figure(results_root() / "figures" / name, family, scale, cells)
            written.append(results_root() / "figures" / name)
    return written


def published() -> dict[tuple[str, str], float]:
    """(dataset, optimizer) -> the paper's BLEU."""
    with (PUBLISHED / "table3_transformer.csv").open() as file:
        return {(row["dataset"], row["optimizer"]): float(row["bleu"]) for row in csv.DictReader(file)}


def _values(records: list[Record], metric: str) -> list[float]:
    """Of the finished runs, all in all."""
    return [record.summary["final"][METRICS[metric]] for record in records if record.status == "done"]


def _table(path: Path, family: str, scale: str, cells: Cells) -> None:
    labels, paper = labels_of(cells, TABLE3), published() if scale == "paper" else {}
    header, columns = ["optimizer"], []
    for dataset, pair in FAMILIES[family].items():
        for metric in ("average", "best"):
            header.append(f"{pair} {metric}")
            summaries = [summarize(_values(cells.get((dataset, label), []), metric)) for label in labels]
            winner = separate_winner(summaries)
            column = []
            for index, label in enumerate(labels):
                text = cell_text(cells.get((dataset, label)), summaries[index])
                if index == winner:
                    text = f"**{text}**"
                if metric == "average" and (dataset, label) in paper:
                    text += f" / paper {paper[dataset, label]:.2f}"
                column.append(text)
            columns.append(column)
    rows = [[row_label(label), *(column[index] for column in columns)] for index, label in enumerate(labels)]
    write_table(path, _caption(family, scale, cells), header, rows, _long(family, scale, labels, cells))


def _caption(family: str, scale: str, cells: Cells) -> str:
    records = [record for group in cells.values() for record in group]
    config = records[0].config
    signatures = sorted(
        {str(record.summary.get("sacrebleu_signature")) for record in records if record.status == "done"}
    )
    return (
        f"Table 3 on {TITLES[family]}: tokenised BLEU on the test set, beam {config['beam']}; average: parameters "
        f"averaged over the last {config['average_last']} epochs, as the paper; best: epoch of best validation BLEU. "
        f"Mean ± std (n) and 95 % interval over seeds. Scale: {scale} ({config['epochs']} epochs, "
        f"{config['max_tokens']} tokens a batch, {config['warmup']} warm-up updates, {config['layers']} + "
        f"{config['layers']} layers, width {config['width']}). Bold: interval apart from all others. "
        f"sacreBLEU is in the CSV file ({', '.join(signatures) or 'no finished run'}). {provenance(records)}"
    )


def _long(family: str, scale: str, labels: list[str], cells: Cells) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for dataset, pair in FAMILIES[family].items():
        for label in labels:
            records = cells.get((dataset, label), [])
            row: dict[str, object] = {"dataset": dataset, "pair": pair, "scale": scale, "optimizer": label}
            row |= counts(records)
            for metric in METRICS:
                row |= summary_fields(metric, summarize(_values(records, metric)))
            row["paper"] = published().get((dataset, label), "") if scale == "paper" else ""
            rows.append(row)
    return rows


def _samples(path: Path, family: str, scale: str, cells: Cells) -> None:
    """What each optimizer's first seed made of the first test sentences."""
    rows, long = [], []
    for dataset, pair in FAMILIES[family].items():
        firsts = {
            label: next((record for record in cells.get((dataset, label), []) if record.status == "done"), None)
            for label in labels_of(cells, TABLE3)
        }
        samples = {row_label(label): record.summary["samples"] for label, record in firsts.items() if record}
        for number, sentence in enumerate(next(iter(samples.values()), [])):
            said = {"source": sentence["source"], "reference": sentence["reference"]}
            said.update({name: found[number]["translation"] for name, found in samples.items()})
            for who, text in said.items():
                rows.append([f"{pair} {number + 1}" if who == "source" else "", who, text.replace("|", r"\|")])
                long.append({"dataset": dataset, "scale": scale, "sentence": number + 1, "who": who, "text": text})
    caption = f"The first test sentences of {TITLES[family]}, scale {scale}, lowercase; each optimizer's lowest seed."
    write_table(path, caption, ["sentence", "who", "text"], rows, long)


def _figure(path: Path, family: str, scale: str, cells: Cells) -> None:
    datasets = [dataset for dataset in FAMILIES[family] if any(cell[0] == dataset for cell in cells)]
    with subplots(path, 1, len(datasets), figsize=(max(4.2, 3.3 * len(datasets)), 2.9)) as (figure, axes):
        for axis, dataset in zip(axes[0], datasets, strict=True):
            for label in labels_of(cells, TABLE3):
                records = [record for record in cells.get((dataset, label), []) if record.status in FINISHED]
                curves = [record.curve("valid", "bleu") for record in records]
                draw_runs(axis, curves, look(label.split(" ")[0]), row_label(label))
            axis.set(title=FAMILIES[family][dataset], xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0][0].set_ylabel("validation BLEU")
        legend_below(figure, axes)
        figure.suptitle(f"{TITLES[family]}, scale {scale}; band: range over seeds", fontsize=9)
