"""The runner as a user starts it: real fairseq, real records."""

import json
import os
import re
import subprocess

import pytest
import torch

from acprop.report.__main__ import main
from acprop.runs import data_root, load_records
from acprop.runs.conf import roster
from experiments.transformer import checkpoints
from experiments.transformer.translate import train
from tests.conftest import ROOT
from tests.transformer.conftest import write_archive


def summary(folder):
    return json.loads((folder / "run.json").read_text())


def numbers(folder):
    """All that must be equal when a run is repeated: metrics without times, and the final state of fairseq."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    state = checkpoints.load(folder / "fairseq" / "checkpoint3.pt")
    tensors = {**state["model"], **{f"{i}.{k}": v for i, s in state["last_optimizer_state"]["state"].items()
                                    for k, v in s.items()}}  # fmt: skip
    return [{**line, "wall_s": 0} for line in lines], {
        k: v.numpy().tobytes() for k, v in tensors.items() if torch.is_tensor(v)
    }


@pytest.mark.xdist_group("trained")
@pytest.mark.slow
def test_a_cell_leaves_a_whole_record(trained):
    record = summary(trained)
    assert record["status"] == "done"
    assert (record["epochs"], record["train_size"], record["valid_size"], record["test_size"]) == (3, 512, 20, 20)
    assert record["selection"] == "max of valid/bleu over epochs"
    assert {"ve-fairseq", "sacrebleu"} <= record["versions"].keys()
    assert record["sacrebleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert len(record["samples"]) == 5
    assert all(sample.keys() == {"source", "reference", "translation"} for sample in record["samples"])
    assert record["peak_memory_mib"] > 300, "fairseq's, not the runner's"
    values, state = numbers(trained)
    assert [(line["epoch"], line["split"]) for line in values if line["metric"] == "bleu"] == [
        (1, "valid"), (2, "valid"), (3, "valid"), (3, "test"),
    ]  # fmt: skip
    assert all(0 < line["lr"] <= 5e-4 for line in values)
    assert [name for name in state if name.endswith(".exp_avg_var")], "ACProp's own state, in fairseq's checkpoint"
    assert list(trained.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.xdist_group("trained")
@pytest.mark.slow
@pytest.mark.parametrize(("log", "key"), [("test-average.log", "test/bleu"), ("test-best.log", "test/best_bleu")])
def test_tokenised_bleu_is_fairseqs_own(trained, log, key):
    (printed,) = re.findall(r"BLEU4 = ([\d.]+)", (trained / log).read_text())
    assert summary(trained)["final"][key] == pytest.approx(float(printed), abs=0.0051)


@pytest.mark.xdist_group("trained")
@pytest.mark.slow
def test_the_average_is_the_mean_of_the_last_checkpoints(trained):
    folder = trained / "fairseq"
    states = [checkpoints.load(folder / f"checkpoint{name}.pt")["model"] for name in ("2", "3", "_average")]
    for name, tensor in states[2].items():
        torch.testing.assert_close(tensor, ((states[0][name].double() + states[1][name].double()) / 2).to(tensor.dtype))
    assert not all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(folder / "checkpoint3.pt")
    assert unsafe, "without the plugin's list torch would refuse the file"


@pytest.mark.slow
def test_a_prepared_folder_trains_until_its_translations_are_right(configure):
    """Ten sentences, learnt by heart and asked back: nothing gets lost between the text and the translation."""
    folder = data_root() / "iwslt14_de_en"
    folder.mkdir(parents=True)
    words = [("eins", "one"), ("zwei", "two"), ("drei", "three"), ("vier", "four"), ("fünf", "five")]
    pairs = [
        (f"{a} und {b} , oder ?", f"{c} a@@ nd {d} , isn &apos;t it ?") for a, c in words for b, d in words if a < b
    ]
    for split, times in (("train", 60), ("valid", 1), ("test", 1)):
        for side, language in enumerate(("de", "en")):
            (folder / f"{split}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs) * times)
    budget = ["scale=smoke", "width=0.125", "epochs=6", "max_tokens=256", "dropout=0", "warmup=20"]
    train(configure("transformer", "dataset=iwslt14_de_en", "optimizer=adabelief", "optimizer.lr=3e-3",
                    "tracking=none", *budget))  # fmt: skip
    (record,) = load_records("transformer")
    assert record.summary["final"]["test/bleu"] > 99
    assert record.summary["samples"][0] == {
        "source": "eins und zwei, oder?",
        "reference": "one and two, isn't it?",
        "translation": "one and two, isn't it?",
    }
    assert all(sample["translation"] == sample["reference"] for sample in record.summary["samples"])
    assert record.summary["published_data"] is False


@pytest.mark.slow
def test_an_archive_of_iwslts_form_trains_and_a_diverged_run_is_a_result(configure):
    write_archive(data_root() / "iwslt14_de_en")
    train(configure("transformer", "dataset=iwslt14_de_en", "optimizer=sgd", "optimizer.lr=1e12", "tuned=none",
                    "scale=smoke", "tracking=none"))  # fmt: skip
    (record,) = load_records("transformer")
    assert record.status == "diverged"
    assert re.search("not finite|norm is (nan|inf)", record.summary["error"]), "which of them came first is the CPU's"
    assert main(["tables"]) == 0, "and the report shows it"


def test_missing_data_is_one_line(command, tmp_path):
    done = command("-m", "experiments.transformer", "dataset=iwslt14_de_en", "scale=smoke")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    for words in ("dataset=iwslt14_de_en", "could not be fetched", "ACPROP_DATA", "dataset=cldr_de_en"):
        assert words in done.stderr
    assert not list((tmp_path / "runs").rglob("run.json"))


@pytest.mark.parametrize(
    ("target", "cells"),
    [("transformer-laptop", 5), ("iwslt14_de_en-transformer OPTIMIZER=all", 5), ("iwslt14_de_en-transformer", 1)],
)
def test_make_starts_the_runner(target, cells):
    done = subprocess.run(["make", "-n", *target.split()], cwd=ROOT, capture_output=True, text=True, check=True)
    command = re.sub(r"\\\n\s*", "", done.stdout)
    (options,) = re.findall(r"-m experiments\.transformer (.*)", command)
    (optimizers,) = re.findall(r"optimizer=(\S+)", options)
    assert len(optimizers.split(",")) == cells
    if cells == 5:
        assert optimizers == ",".join(roster("table3"))
    assert os.environ["ACPROP_RUNS"], "no test starts a real one"
