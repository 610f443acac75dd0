"""The paper's tables in its layout: every published number, and ours beside it where there is one."""

import csv
import re

from acprop.report import claims, files, results_root
from acprop.report.claims.tables import TABLES
from acprop.runs import load_records
from tests.claims.records import leave


def write_tables():
    """The rows that they were made from, and the names of the tables."""
    records = list(load_records())
    rows = claims.ledger(records)
    made = claims.paper_tables(rows, records)
    for artefact in made:
        files.write(artefact, results_root())
    return rows, [artefact.name for artefact in made]


def table(name):
    lines = (results_root() / "tables" / f"{name}_paper.md").read_text().splitlines()
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:])
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def test_without_records_each_published_number_is_there_beside_not_run():
    rows, names = write_tables()
    assert names == [f"{name}_paper" for name in TABLES]
    published = [row for row in rows if row.part in TABLES and row.published_value is not None]
    cells = [cell for name in TABLES for line in table(name).values() for cell in line.values()]
    assert len(cells) == len(published) > 70, "no table has a hole"
    assert all(re.fullmatch(r"not run / paper \d+\.\d\d( ± [\d.]+)?†?", cell) for cell in cells)
    assert table("table2")["ResNet-18 on ImageNet"]["ACProp"] == "not run / paper 70.46"
    assert table("table4")["SNGAN on CIFAR-10"]["ACProp"] == "not run / paper 12.44 ± 0.02"
    assert table("fig6")["VGG-11 on CIFAR-10"]["SGD"].endswith("†")


def test_runs_at_the_papers_scale_fill_their_cell_and_small_ones_none(configure):
    write_tables()
    before = table("fig6")
    leave(configure, "cifar", "dataset=cifar10", "scale=paper", "model=resnet34", scores=(95.0, 95.2))
    leave(configure, "cifar", "dataset=digits", "scale=laptop", "model=vgg11", scores=(99.0,))
    write_tables()
    after = table("fig6")
    changed = {(line, name) for line in after for name in after[line] if after[line][name] != before[line][name]}
    assert changed == {("ResNet-34 on CIFAR-10", "ACProp")}
    assert after["ResNet-34 on CIFAR-10"]["ACProp"].startswith("95.00, 95.20 (2) / paper 95.36")
    with (results_root() / "tables" / "fig6_paper.csv").open() as file:
        filled = [row for row in csv.DictReader(file) if row["n"] != "0"]
    assert [(row["row"], row["optimizer"], row["n"]) for row in filled] == [("resnet34", "acprop", "2")]
