"""Published records: packed and read back whole; results/ is what they give and nothing else; a reader's own runs stand
beside them and change no tracked file."""

import gzip
import json
import math
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest

from acprop.report import figures, publish, records_root, results_root
from acprop.report.__main__ import main
from acprop.report.artefacts import Cell, figure, table
from acprop.report.build import artefacts, gather
from acprop.report.publish import shown
from acprop.runs import Run, load_records, runs_root
from acprop.runs.record import load_published, pack
from tests.conftest import ROOT
from tests.rl.test_report import leave as leave_rl


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """results/ of the suite, in a temporary folder."""
    folder = tmp_path / "committed"
    monkeypatch.setattr(publish, "RESULTS", folder)
    monkeypatch.setenv("ACPROP_RECORDS", str(folder / "records"))
    return folder


def leave(configure, *overrides, top1=60.0, status="done", scale="paper"):
    cfg = configure("cifar", "tracking=none", "dataset=digits", "model=vgg11", f"scale={scale}", *overrides)
    with Run.open(cfg, select=("test/top1", "max")) as run:
        run.describe(test_size=10_000)
        for epoch in run.epochs(2):
            run.log("train", loss=math.inf if epoch else 1 / 3)
            run.log("test", top1=top1 - 1 + epoch)
        run.keep(steps=np.arange(3.0))
        if status == "diverged":
            run.require_finite("loss", math.nan)
        if status == "failed":
            raise ZeroDivisionError


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_packed_record_is_the_same_record(configure, tmp_path):
    leave(configure)
    leave(configure, "seed=1", top1=math.nan, status="diverged")
    leave_rl(configure)
    own = {record.folder: record for record in load_records()}
    (rl,) = load_records("rl")
    own[rl.folder].read("policy.json")  # as a figure does
    pack(records_root(), own.values())
    back = {record.folder: record for record in load_published(records_root())}
    assert list(back) == sorted(own)
    for folder, record in own.items():
        same = back[folder]
        assert (same.config, same.summary, same.key) == (record.config, record.summary, record.key)
        assert repr(same.curves) == repr(record.curves)
        assert same.published
    first, second = (back[folder] for folder in sorted(own) if folder.startswith("cifar"))
    assert first.curve("train", "loss") == [(1, 1 / 3), (2, math.inf)]
    assert [math.isnan(value) for _, value in second.curve("test", "top1")] == [True, True]
    assert second.status == "diverged"
    assert back[rl.folder].read("policy.json") == rl.read("policy.json"), "what an artefact shows is kept"
    assert not first.names("*"), "and nothing else"


def test_packing_twice_gives_the_same_bytes(configure):
    leave(configure)
    pack(records_root(), load_records())
    once = snapshot(records_root())
    pack(records_root(), load_published(records_root()))
    assert snapshot(records_root()) == once


def test_anyone_reads_them_without_this_suite(configure):
    leave(configure, "seed=1", top1=math.nan, status="diverged")
    leave(configure)
    pack(records_root(), load_records())
    (path,) = records_root().rglob("*.jsonl.gz")

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    with gzip.open(path, "rt") as file:
        lines = [json.loads(line, parse_constant=refuse) for line in file]
    assert [set(line) for line in lines] == [{"folder", "config", "summary", "curves"}] * 2
    table = pandas.read_json(path, lines=True)
    assert list(table["folder"]) == [record.folder for record in load_records()]
    assert [summary["status"] for summary in table["summary"]] == ["done", "diverged"]


def test_results_are_what_the_published_records_give(configure, results, capsys):
    for seed in range(5):
        leave(configure, f"seed={seed}", top1=60.0 + seed)
    leave(configure, "optimizer=adam", scale="smoke")
    leave(configure, "optimizer=sgd", scale="laptop", status="diverged")
    with pytest.raises(ZeroDivisionError):
        leave(configure, "optimizer=radam", status="failed")
    assert main(["publish"]) == 0
    assert "6 runs published, 6 in all; 2 left out" in capsys.readouterr().out, "unfinished ones, and smoke"
    assert {record.summary["optimizer"] for record in load_published(records_root())} == {"acprop", "sgd"}
    text = (results / "tables" / "fig6_digits.md").read_text()
    assert "62.00 ± 1.58 (5)" in text
    assert (results / "claims.csv").exists()
    assert (results / "report.html").exists()
    before = snapshot(results)
    shutil.rmtree(runs_root())
    assert main(["rebuild"]) == 0
    assert snapshot(results) == before, "the runs themselves are no longer needed"
    assert main(["check"]) == 0
    assert main(["publish"]) == 2, "nothing to publish"
    assert snapshot(results) == before


@pytest.mark.parametrize("name", ["tables/fig6_digits.csv", "claims.md", "report.html"])
def test_a_changed_byte_and_a_lost_file_are_found(name, configure, results, capsys):
    leave(configure)
    main(["publish"])
    path = results / name
    path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    assert main(["check"]) == 1
    assert f"results/{name} is not what the published records give" in capsys.readouterr().err
    path.unlink()
    assert main(["check"]) == 1
    assert f"results/{name}" in capsys.readouterr().err
    assert main(["rebuild"]) == 0
    assert main(["check"]) == 0
    (results / "tables" / "left_over.md").write_text("of no record")
    assert main(["check"]) == 1
    assert main(["rebuild"]) == 0
    assert not (results / "tables" / "left_over.md").exists()


def test_a_picture_of_other_numbers_is_found_and_one_of_the_same_numbers_is_not(configure, results, capsys):
    leave(configure)
    main(["publish"])
    path = results / "figures" / "fig6_digits"

    def redraw(change):
        made, _ = artefacts(gather())
        (figure,) = [one for one in made if one.name == "fig6_digits" and one.draw]

        def draw():
            canvas = figure.draw()
            change(canvas.axes[0].lines[0], canvas)
            return canvas

        figures.save(path, draw)

    redraw(lambda line, canvas: canvas.set_dpi(50))
    assert main(["check"]) == 0, "another processor draws other bytes"
    redraw(lambda line, canvas: line.set_ydata(np.asarray(line.get_ydata()) + 0.01))
    assert main(["check"]) == 1
    assert "results/figures/fig6_digits.png" in capsys.readouterr().err
    plt.close("all")


def test_a_run_is_published_again_in_place_of_the_same(configure):
    leave(configure, top1=60.0)
    leave(configure, "seed=1", top1=61.0)
    main(["publish"])
    shutil.rmtree(runs_root())
    leave(configure, top1=70.0)
    main(["publish"])
    found = {record.summary["seed"]: record.summary["final"]["test/top1"] for record in load_published(records_root())}
    assert found == {0: 70.0, 1: 61.0}


def test_what_is_published_may_be_chosen_by_its_folder(configure):
    leave(configure)
    leave(configure, "optimizer=adam")
    assert main(["publish", "digits", "/adam-"]) == 0
    assert [record.summary["optimizer"] for record in load_published(records_root())] == ["adam"]


def test_own_runs_stand_beside_and_change_nothing(configure, results):
    for seed in range(3):
        leave(configure, f"seed={seed}", top1=60.0 + seed)
    main(["publish"])
    before = snapshot(results)
    shutil.rmtree(runs_root())
    leave(configure, "seed=0", top1=60.0)  # as published
    leave(configure, "seed=1", top1=60.5)  # another value, as a seed may have
    leave(configure, "seed=7", top1=99.0)  # none that such seeds give
    leave(configure, "optimizer=adam", top1=50.0)  # a cell of one's own
    assert main([]) == 0
    assert main(["check"]) == 0
    assert snapshot(results) == before
    lines = (results_root() / "tables" / "yours.md").read_text().splitlines()
    verdicts = {line.split("|")[5].strip(): line.split("|")[-2].strip() for line in lines[4:]}
    assert verdicts == {"0": "equal", "1": "within the spread", "7": "outside the spread"}
    fig6 = (results_root() / "tables" / "fig6_digits.md").read_text()
    assert "60.00, 61.00, 62.00 (3)" in fig6, "the published cell stays as it is published"
    assert "| Adam | 50.00 (1)" in fig6
    page = (results_root() / "report.html").read_text()
    assert ">yours<" in page
    assert ">published<" in page


def test_a_published_cell_that_diverged_is_no_spread(configure):
    for seed in range(2):
        leave(configure, f"seed={seed}", status="diverged")
    main(["publish"])
    leave(configure, "seed=5", top1=60.0)
    assert main([]) == 0
    lines = (results_root() / "tables" / "yours.md").read_text().splitlines()[4:]
    told = [[word.strip() for word in line.split("|")[-3:-1]] for line in lines]
    assert told == [["", "equal"], ["", "equal"], ["", "outside the spread"]]


def test_of_one_published_run_nothing_is_within(configure):
    leave(configure, top1=60.0)
    main(["publish"])
    shutil.rmtree(runs_root())
    leave(configure, "seed=1", top1=61.0)
    main(["tables"])
    assert "one published run has no spread" in (results_root() / "tables" / "yours.md").read_text()


def test_a_report_of_the_suite_changes_no_tracked_file(configure, tmp_path):
    before = snapshot(ROOT / "results")
    leave(configure)
    assert main([]) == 0
    assert snapshot(ROOT / "results") == before
    made = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {"runs", "results"}


def test_further_words_are_refused(capsys):
    for action in ("rebuild", "check"):
        assert main([action, "cifar"]) == 2
        assert "no further words" in capsys.readouterr().err


def test_readme_shows_a_column_of_a_table_by_optimizer():
    def artefact(name, *cells):
        rows = [[label, "2", cell] for label, cell in cells]
        return table(name, "fig6", "", [], ["optimizer", "n", "last"], rows, [])

    made = [
        artefact("one", ("SGD", Cell("90.1 ± 0.2 (5) [89, 91]", bold=True)), ("Adam", "not run")),
        artefact("two", ("Adam", "0.3 ± 0.1 (9)"), ("ACProp", "0.2, 0.3 (2)")),
        figure("two", "fig6", "", [], plt.figure),
    ]
    choice = [{"what": name, "table": name, "column": "last"} for name in ("one", "missing", "two")]
    assert shown(made, choice).splitlines() == [
        "| mean ± std (runs) | SGD | Adam | ACProp |",
        "| --- | --- | --- | --- |",
        "| [one](results/tables/one.md) | **90.1 ± 0.2 (5)** | not run |  |",
        "| [two](results/tables/two.md) |  | 0.3 ± 0.1 (9) | 0.2, 0.3 (2) |",
    ]
