"""Table 3 of the paper: BLEU of the optimizers on language pairs, with the validation curves behind it and sample
translations; one of each for every family of pairs, at every scale that has records."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from acprop.report import PUBLISHED, comparisons, tuning
from acprop.report.again import again
from acprop.report.artefacts import Artefact, figure, table
from acprop.report.cells import Measure, Reference, wide
from acprop.report.figures import draw_runs, head, legend_below, subplots
from acprop.report.records import (
    Cells,
    by_budget,
    by_cell,
    file_name,
    labels_of,
    provenance,
    row_label,
    runs_told,
    settings_told,
)
from acprop.report.settings import tunes
from acprop.report.stats import PERCENT
from acprop.report.style import look
from acprop.runs.conf import roster
from acprop.runs.record import FINISHED, Record

SPANS = ("dataset",)  # a table has a column a pair of languages
TITLES = {"ted": "IWSLT and TED", "cldr": "embedded pairs", "catalogues": "gettext catalogues"}


def artefacts(records: list[Record]) -> Iterator[Artefact]:
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for (dataset, scale), group in by_budget(records).items():
        for record in group:
            if not tunes(record):
                groups[_family(record), scale].append(record)
        if tried := [record for record in group if tunes(record)]:
            names = file_name("table3_tuning", dataset, scale), file_name("table3_tuning_settings", dataset, scale)
            where = f"Table 3 on {_title(_family(tried[0]))}, {_pairs(tried)[dataset]}"
            yield from tuning.artefacts(names, "table3", where, tried, records, VALIDATION, _budget)
    for (family, scale), group in groups.items():
        yield from _of_family(family, scale, group)


def _family(record: Record) -> str:
    """Data sets that one reader reads stand in one table."""
    return record.config["dataset"]["_target_"].rpartition(".")[2]


def _title(family: str) -> str:
    return TITLES.get(family, family)


def _of_family(family: str, scale: str, records: list[Record]) -> Iterator[Artefact]:
    pairs = _pairs(records)
    cells: Cells = {}
    for dataset in pairs:
        own = by_cell(record for record in records if record.summary["dataset"] == dataset)
        cells |= {(dataset, label): group for (_, label), group in own.items()}
    title, name = _title(family), file_name("table3", family, scale)
    paper = published() if scale == "paper" else {}
    header, rows, long = wide(
        cells, list(pairs), labels_of(cells, roster("table3")), MEASURES, {"scale": scale},
        _references(paper) if paper else None, name=pairs.__getitem__, unseen=SACREBLEU,
    )  # fmt: skip
    long = [{"dataset": row.pop("model"), **row} for row in long]
    yield table(name, "table3", _caption(title, scale, pairs, cells), records, header, rows, long)
    by_pair = {(pairs[dataset], label): group for (dataset, label), group in cells.items()}
    yield from comparisons.of_cells(name, "table3", f"{title}, scale {scale}", by_pair, SCORE)
    caption = f"The first test sentences of {title}, scale {scale}, lowercase; each optimizer's lowest seed."
    said, texts = _samples(pairs, scale, cells)
    yield table(f"{name}_samples", "table3", caption, records, ["sentence", "who", "text"], said, texts)
    shown = f"{title}, scale {scale}: validation BLEU over epochs; band: range over seeds"
    told = f"{title}, scale {scale} ({_budget(records[0].config)}), {runs_told(cells)}"
    yield figure(name, "table3", shown, records, lambda: _figure(told, pairs, cells))


def _pairs(records: list[Record]) -> dict[str, str]:
    """dataset -> its languages, as a column is headed: the paper's first, in its order."""
    told: dict[str, str] = {}
    for record in records:
        dataset = record.summary["dataset"]
        if languages := record.summary.get("languages"):
            told[dataset] = languages.upper()
        told.setdefault(dataset, dataset)  # its runs ended before they had read it
    papers = list(dict.fromkeys(dataset for dataset, _ in published()))
    order = {dataset: index for index, dataset in enumerate(papers)}
    return dict(sorted(told.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def published() -> dict[tuple[str, str], float]:
    """(dataset, optimizer) -> the paper's BLEU."""
    with (PUBLISHED / "table3_transformer.csv").open() as file:
        return {(row["dataset"], row["optimizer"]): float(row["bleu"]) for row in csv.DictReader(file)}


def _final(key: str) -> Callable[[Record], float | None]:
    return lambda record: record.summary["final"].get(f"test/{key}")


# of averaged parameters, as the paper's, and of the epoch of best validation BLEU
MEASURES = [
    Measure("average", "average", _final("bleu"), bounds=PERCENT),
    Measure("best", "best", _final("best_bleu"), bounds=PERCENT),
]
SCORE = comparisons.Score("BLEU", lambda r: r.summary["final"]["test/bleu"], True, ("valid", "bleu"))
VALIDATION = comparisons.Score(
    "validation BLEU of the last epoch", lambda r: r.summary["final"]["valid/bleu"], True, ("valid", "bleu")
)
SACREBLEU = [  # in the CSV file alone
    Measure("", "average_sacrebleu", _final("sacrebleu")), Measure("", "best_sacrebleu", _final("best_sacrebleu")),
]  # fmt: skip


def _references(paper: dict[tuple[str, str], float]) -> Callable[[str, str, Measure], Reference | None]:
    def reference(dataset: str, label: str, measure: Measure) -> Reference | None:
        value = paper.get((dataset, label))
        if value is None or measure.key != "average":
            return None
        return Reference(f"{value:.2f}", {"paper": value})

    return reference


def _caption(title: str, scale: str, pairs: dict[str, str], cells: Cells) -> str:
    records = [record for group in cells.values() for record in group]
    config = records[0].config
    done = [record for record in records if record.status == "done"]
    signatures = sorted({str(record.summary.get("sacrebleu_signature")) for record in done})
    return (
        f"Table 3 on {title}: tokenised BLEU on the test set, beam {config['beam']}; average: parameters averaged over "
        f"the last {config['average_last']} epochs, as the paper; best: epoch of best validation BLEU. Mean ± std (n) "
        f"and 95 % interval over seeds. Scale: {scale} ({_budget(config)}).{settings_told(records)} Bold: interval "
        f"apart from all others. sacreBLEU is in the CSV file ({', '.join(signatures) or 'no finished run'}). "
        f"{comparisons.ends_told(cells, SCORE.curve, pairs.__getitem__)}{again(records)}{provenance(records)}"
    )


def _budget(config: dict[str, Any]) -> str:
    batch = f"{config['max_tokens']} tokens a batch, {config['warmup']} warm-up updates"
    net = f"{config['layers']} + {config['layers']} layers, width {config['width']}"
    return f"{config['epochs']} epochs, {batch}, {net}"


def _samples(pairs: dict[str, str], scale: str, cells: Cells) -> tuple[list[list[str]], list[dict[str, object]]]:
    """What each optimizer's first seed made of the first test sentences."""
    rows: list[list[str]] = []
    long: list[dict[str, object]] = []
    for dataset, pair in pairs.items():
        firsts = {
            label: next((record for record in cells.get((dataset, label), []) if record.status == "done"), None)
            for label in labels_of(cells)
        }
        samples = {row_label(label): record.summary["samples"] for label, record in firsts.items() if record}
        for number, sentence in enumerate(next(iter(samples.values()), [])):
            said = {"source": sentence["source"], "reference": sentence["reference"]}
            said.update({name: found[number]["translation"] for name, found in samples.items()})
            for who, text in said.items():
                rows.append([f"{pair} {number + 1}" if who == "source" else "", who, text])
                long.append({"dataset": dataset, "scale": scale, "sentence": number + 1, "who": who, "text": text})
    return rows, long


def _figure(title: str, pairs: dict[str, str], cells: Cells) -> Any:
    canvas, axes = subplots(1, len(pairs), figsize=(max(4.2, 3.3 * len(pairs)), 2.9))
    for axis, (dataset, pair) in zip(axes[0], pairs.items(), strict=True):
        for label in labels_of({cell: group for cell, group in cells.items() if cell[0] == dataset}):
            records = [record for record in cells[dataset, label] if record.status in FINISHED]
            curves = [record.curve("valid", "bleu") for record in records]
            draw_runs(axis, curves, look(label.split(" ")[0]), row_label(label))
        axis.set(title=pair, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0][0].set_ylabel("validation BLEU")
    legend_below(canvas, axes)
    head(canvas, title)
    return canvas
