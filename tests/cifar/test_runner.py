"""The runner as a user starts it: real processes, real records."""

import json
import os
import pickle

import numpy as np
import pytest
import torch

from acprop.runs import load_records
from experiments.images.train import train

SWEEP = (
    "-m",
    "experiments.cifar",
    "-m",
    "dataset=digits",
    "model=vgg11",
    "optimizer=acprop,sgd",
    "seed=1",
    "scale=smoke",
)


def numbers(record):
    """All that must be equal when a run is repeated: metrics without times, and the final parameters."""
    lines = [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]
    state = torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]
    tensors = {
        **state["model"],
        **{f"{i}.{k}": v for i, s in state["optimizer"]["state"].items() for k, v in s.items()},
    }
    return [{**line, "wall_s": 0} for line in lines], {
        k: v.numpy().tobytes() for k, v in tensors.items() if torch.is_tensor(v)
    }


@pytest.mark.slow
def test_a_sweep_leaves_its_records_and_joblib_the_same_bits(command, tmp_path):
    done = command(*SWEEP)
    assert done.returncode == 0, done.stderr
    one = {record.path.relative_to(tmp_path / "runs"): numbers(record) for record in load_records("cifar")}
    assert len(one) == 2
    assert (tmp_path / "results" / "tables" / "fig6_digits_smoke.md").exists()
    assert (tmp_path / "results" / "figures" / "fig6_digits_smoke.png").stat().st_size > 10_000

    parallel = str(tmp_path / "parallel")
    done = command(*SWEEP, "hydra/launcher=joblib", ACPROP_RUNS=parallel)
    assert done.returncode == 0, done.stderr
    os.environ["ACPROP_RUNS"] = parallel
    other = {record.path.relative_to(parallel): numbers(record) for record in load_records("cifar")}
    assert other == one


def test_missing_data_is_one_line(command, tmp_path):
    done = command("-m", "experiments.cifar", "dataset=cifar10", "scale=smoke")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    for words in ("dataset=cifar10", "could not be fetched", "ACPROP_DATA", "dataset=digits"):
        assert words in done.stderr
    assert not list((tmp_path / "runs").rglob("run.json"))


def test_a_sweep_names_what_failed_and_keeps_the_rest(command):
    done = command(
        "-m", "experiments.cifar", "-m", "dataset=cifar10,digits", "model=vgg11", "scale=smoke", "tracking=none",
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "error: dataset=cifar10 model=vgg11 scale=smoke tracking=none: dataset=cifar10: not in" in line
    assert "Traceback" not in done.stderr
    assert [record.summary["dataset"] for record in load_records("cifar")] == ["digits"]


def write_cifar10(folder, per_file=20):
    """A small folder in CIFAR-10's own format."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = random.integers(0, 10, per_file)
        images = random.integers(0, 256, (per_file, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": images, "labels": labels.tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))


def test_trains_on_a_folder_in_cifar10_format(configure, tmp_path):
    write_cifar10(tmp_path / "data" / "cifar-10-batches-py")
    train(configure("cifar", "dataset=cifar10", "scale=smoke", "tracking=none"))
    (record,) = load_records("cifar")
    assert (record.summary["train_size"], record.summary["test_size"]) == (100, 20)
    assert record.summary["published_data"] is False, "and says that these are not the published files"


def test_a_run_that_diverges_is_recorded(configure):
    train(configure("cifar", "model=vgg11", "optimizer=sgd", "optimizer.lr=1e9", "scale=smoke", "tracking=none"))
    (record,) = load_records("cifar")
    assert record.status == "diverged"


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_and_layout_change_only_rounding(precision, channels_last, configure):
    settings = [
        "model=vgg11",
        "scale=smoke",
        "tracking=none",
        f"precision={precision}",
        f"channels_last={channels_last}",
    ]
    train(configure("cifar", *settings))
    (record,) = load_records("cifar")
    assert record.summary["final"]["train/loss"] == pytest.approx(2.303, abs=0.02)
    assert record.summary["scale"] == ("smoke" if precision == "fp32" else "smoke-precision=bf16")
