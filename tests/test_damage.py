"""Records that a full disk, a kill, or a hand has damaged: each costs its own cell and one line, never another's."""

import gzip
import json
import shutil

import pytest
import torch
import yaml

from acprop.report import records_root, results_root
from acprop.report.__main__ import main
from acprop.report.build import refresh
from acprop.runs import Run, load_records
from acprop.runs.record import pack
from experiments.theory.__main__ import run as run_theory
from tests.claims.records import leave
from tests.gan.test_report import leave as leave_gan
from tests.rl.test_report import leave as leave_rl


def cut(name, share=0.5):
    def damage(folder):
        path = next(folder.glob(name))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return damage


def put(name, content):
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def without(name):
    return lambda folder: (folder / name).unlink()


def change(**fields):
    def damage(folder):
        summary = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**summary, **fields}))

    return damage


def settings(**changes):
    def damage(folder):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config = {key: value for key, value in {**config, **changes}.items() if value is not ...}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

    return damage


def copied(folder):
    shutil.copytree(folder, folder.with_name("seed=0 copy"))


def copied_cell(folder):
    shutil.copytree(folder.parent, folder.parent.with_name(folder.parent.name + " (copy)"))


WORDS = '{"step": [], "epoch": 1, "split": "test", "metric": "top1", "value": "x"}'
# damage -> the file that the line names
ODD = {
    "run.json empty": (put("run.json", ""), "run.json"),
    "run.json half": (cut("run.json"), "run.json"),
    "run.json garbage": (put("run.json", b"\xff\x00\x80"), "run.json"),
    "run.json a list": (put("run.json", "[]"), "run.json"),
    "run.json a number": (put("run.json", "NaN"), "run.json"),
    "run.json without status": (change(status=None), "run.json"),
    "an unknown status": (change(status="odd"), "run.json"),
    "final a list": (change(final=[]), "run.json"),
    "final NaN": (change(final={"test/top1": float("nan")}), "run.json"),
    "final a word": (change(final={"test/top1": "high"}), "run.json"),
    "best a word": (change(best="high"), "run.json"),
    "best without epoch": (change(best={"value": 3.0}), "run.json"),
    "seed a word": (change(seed="0"), "run.json"),
    "another task": (change(task="gan"), "run.json"),
    "another hash": (change(hash="00000000"), "run.json"),
    "config missing": (without("config.yaml"), "config.yaml"),
    "config empty": (put("config.yaml", ""), "config.yaml"),
    "config half": (cut("config.yaml"), "config.yaml"),
    "config garbage": (put("config.yaml", b"\xff\x00: ["), "config.yaml"),
    "config a list": (put("config.yaml", "[1, 2]"), "config.yaml"),
    "config of another run": (settings(epochs=999), "config.yaml"),
    "config without scale": (settings(scale=...), "config.yaml"),
    "metrics missing": (without("metrics.jsonl"), "metrics.jsonl"),
    "metrics garbage": (put("metrics.jsonl", b"\xff\x00\n[]\n3\nnull\n{}\n"), "metrics.jsonl"),
    "metrics of words": (put("metrics.jsonl", WORDS), "metrics.jsonl"),
    "a copy of the folder": (copied, "seed=0 copy/run.json"),
    "a copy of the cell": (copied_cell, "(copy)/seed=0/run.json"),
}  # fmt: skip


@pytest.fixture
def records(configure):
    """A sound cell, and one to damage: the runs of Adam."""
    leave(configure, "cifar", "dataset=digits", "model=vgg11", scores=(98.0, 97.0))
    leave(configure, "cifar", "dataset=digits", "model=vgg11", "optimizer=adam", scores=(90.0,))
    (adam,) = [record for record in load_records() if record.summary["optimizer"] == "adam"]
    return adam.path


def row(name, file="fig6_digits_laptop"):
    text = (results_root() / "tables" / f"{file}.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
    return line


@pytest.mark.parametrize("odd", ODD)
def test_a_damaged_record_costs_its_cell_and_a_line(odd, records, capsys):
    damage, named = ODD[odd]
    damage(records)
    assert main([]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(said) == 1, said
    assert said[0].startswith("left out: ")
    assert named in said[0]
    assert "move its folder away" in said[0]
    assert "97.00, 98.00 (2)" in row("ACProp")
    assert ("90.00 (1)" in row("Adam")) == odd.startswith("a copy"), "what was there before the copy still is"
    assert named in (results_root() / "report.html").read_text()
    refresh("cifar")
    assert "97.00, 98.00 (2)" in row("ACProp")


def test_half_a_line_is_dropped_and_the_rest_counts(records, capsys):
    path = records / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": 9, "epoch": 9, "spl')
    assert main([]) == 0
    assert not capsys.readouterr().err
    assert "90.00 (1)" in row("Adam")


@pytest.mark.parametrize("task", ["cifar", "gan", "rl", "imagenet", "transformer"])
def test_a_run_that_diverges_before_it_logs_is_counted(task, configure, capsys):
    with Run.open(configure(task, "tracking=none", "scale=smoke"), select=("test/top1", "max")) as run:
        run.require_finite("loss", float("nan"))
    (record,) = load_records()
    assert not (record.path / "metrics.jsonl").exists()
    assert main([]) == 0
    assert not capsys.readouterr().err
    texts = "".join(path.read_text() for path in (results_root() / "tables").glob("*_smoke*.md"))
    assert "1 diverged" in texts


def damaged_beside_a_whole_one(task, whole, damaged, damage, table, name, capsys):
    """Leaves two runs of a task, damages one; its line; the other's row is still there."""
    whole()
    sound = {record.folder for record in load_records(task)}
    damaged()
    (record,) = [record for record in load_records(task) if record.folder not in sound]
    damage(record.path)
    assert main([]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(said) == 1, said
    assert record.folder in said[0]
    assert list((results_root() / "figures").glob(f"{table}*.png"))
    if name:
        assert "not run" not in row(name, table)


def test_a_picture_that_is_cut_costs_its_own_cell(configure, capsys):
    damaged_beside_a_whole_one(
        "gan", lambda: leave_gan(configure, "model=dcgan"), lambda: leave_gan(configure, "model=sngan"),
        cut("samples/grid-0000030.png"), "table4_feature_fid_digits_laptop", "ACProp", capsys,
    )  # fmt: skip


def test_a_policy_that_is_cut_costs_its_own_cell(configure, capsys):
    damaged_beside_a_whole_one(
        "rl", lambda: leave_rl(configure), lambda: leave_rl(configure, "optimizer=adam"), cut("policy.json"),
        "fig9_four_rooms", "ACProp", capsys,
    )  # fmt: skip


def test_arrays_that_are_cut_cost_their_own_map(configure, capsys):
    theory = ("theory", "tracking=none", "criterion=limit")
    damaged_beside_a_whole_one(
        "theory", lambda: run_theory(configure(*theory, "problem=eq2")),
        lambda: run_theory(configure(*theory, "problem=eq1")), cut("arrays.npz"), "fig3_limit", None, capsys,
    )  # fmt: skip


def test_a_damaged_run_is_not_published(records, capsys, monkeypatch, tmp_path):
    from acprop.report import publish

    monkeypatch.setattr(publish, "RESULTS", tmp_path / "committed")
    (records / "metrics.jsonl").unlink()
    assert main(["publish"]) == 0
    said = capsys.readouterr()
    assert "2 runs published" in said.out
    assert "metrics.jsonl" in said.err


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-20], lambda content: gzip.compress(b'{"folder": 3'), lambda content: b"no gzip"],
)
def test_a_damaged_published_file_is_named_in_one_line(damage, records, capsys):
    pack(records_root(), load_records())
    (path,) = records_root().rglob("*.jsonl.gz")
    path.write_bytes(damage(path.read_bytes()))
    assert main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: damaged (")


def test_a_checkpoint_is_no_part_of_a_report(records):
    torch.save({"x": 1}, records / "checkpoint.pt")
    (records / "checkpoint.pt").write_bytes(b"garbage")
    assert main(["tables"]) == 0
