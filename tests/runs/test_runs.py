"""The harness alone: identity, record, checkpoint, statuses."""

import json
import math
import os
import signal

import pytest
import torch
from omegaconf import OmegaConf

from acprop.runs import Run, UsageError, environment, load_records
from acprop.runs.identity import config_hash, scale_label
from acprop.runs.record import POSITIONS, pairs, write_atomically


def config(**changes):
    return OmegaConf.create(
        {
            "task": "toy", "seed": 0, "force": False, "device": "cpu", "threads": 1, "checkpoint_every_s": 0,
            "names": {"dataset": "d", "model": "m", "optimizer": "o"}, "scale": {"name": "paper", "epochs": 3},
            "tracking": {"mode": "disabled", "project": "p", "entity": None}, "epochs": 3, **changes,
        }
    )  # fmt: skip


def work(cfg, stop_at=None, stop=KeyboardInterrupt, value=lambda epoch: epoch):
    """A run that counts; returns what it counted and the final draw of its generator."""
    counter, optimizer = torch.zeros(1), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    with Run.open(cfg, select=("test/score", "max")) as run:
        if run.finished:
            return None
        run.register(counter=counter, optimizer=optimizer)
        for epoch in run.epochs(cfg.epochs):
            for number in run.batches(range(run.batch, 4)):
                if (epoch, number) == stop_at:
                    raise stop
                counter += torch.rand(1)
            run.log("test", score=value(epoch))
    return counter.item()


def lines():
    (record,) = load_records("toy")
    return [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]


def test_a_curve_that_is_read_alone_is_that_of_all_curves():
    """Names that are parts of others, or values elsewhere in a line, or no ASCII; a line that is cut short."""
    with Run.open(config(), select=None) as run:
        for epoch in run.epochs(3):
            run.log("test", loss=epoch, **{"nll_loss": epoch + 10, "größe": epoch + 20, "test": epoch + 30})
            if epoch:
                run.log("loss", test=-epoch)
    (record,) = load_records("toy")
    with (record.path / "metrics.jsonl").open("a") as file:
        file.write('{"split": "test", "metric": "loss", "va')
    names = [(split, metric) for split, columns in record.curves.items() for metric in columns]
    assert {("test", "loss"), ("test", "nll_loss"), ("test", "größe"), ("test", "test"), ("loss", "test")} <= set(names)
    for split, metric in names:
        if metric not in POSITIONS:
            assert record.curve(split, metric, "step") == pairs(record.curves[split], metric, "step")
    assert record.curve("test", "loss") == [(1, 0.0), (2, 1.0), (3, 2.0)]
    assert record.curve("loss", "test") == [(2, -1.0), (3, -2.0)]
    assert record.curve("test", "los") == []


def test_leaves_a_whole_record():
    work(config())
    (record,) = load_records("toy")
    assert record.path.parts[-4:] == ("toy", "d-m", f"o-{config_hash(record.config)}", "seed=0")
    assert record.summary["status"] == "done"
    assert record.summary["final"] == {"test/score": 2.0}
    assert record.summary["best"] == {"value": 2.0, "epoch": 3, "step": 12}
    assert record.summary["selection"] == "max of test/score over epochs"
    assert {"commit", "versions", "device", "threads", "wall_s", "peak_memory_mib"} <= record.summary.keys()
    assert record.summary["precision"] == "fp32"
    assert [(line["epoch"], line["step"], line["value"], line["lr"]) for line in lines()] == [
        (1, 4, 0.0, 0.5), (2, 8, 1.0, 0.5), (3, 12, 2.0, 0.5),
    ]  # fmt: skip


def test_skips_what_is_done_and_force_does_it_again(capsys):
    first = work(config())
    assert work(config()) is None
    assert "done already" in capsys.readouterr().out
    assert work(config(force=True)) == first
    assert len(lines()) == 3


@pytest.mark.parametrize("stop_at", [(0, 0), (1, 2), (2, 0)])
@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")])
def test_resumes_where_it_stopped(stop_at, stop, status):
    whole = work(config(seed=1))
    with pytest.raises(stop):
        work(config(), stop_at, stop)
    (record, _) = load_records("toy")
    assert record.status == status
    torch.rand(7)  # what happens in between must not matter
    resumed = work(config())
    assert resumed != whole, "another seed gives other numbers"
    assert resumed == work(config(force=True)), "and the same seed the same, interrupted or not"
    (record, _) = load_records("toy")
    assert record.status == "done"


def test_drops_lines_younger_than_the_checkpoint():
    cfg = config(checkpoint_every_s=1e9)
    with pytest.raises(KeyboardInterrupt):
        work(cfg, (2, 1))
    assert len(lines()) == 2
    work(cfg)
    assert [line["epoch"] for line in lines()] == [1, 2, 3]


def test_sigterm_saves_and_ends():
    cfg = config(checkpoint_every_s=1e9)

    def value(epoch):
        if epoch == 1 and not resumed:
            os.kill(os.getpid(), signal.SIGTERM)
        return epoch

    resumed = False
    with pytest.raises(SystemExit) as stop:
        work(cfg, value=value)
    assert stop.value.code == 128 + signal.SIGTERM
    (record,) = load_records("toy")
    assert record.status == "interrupted"
    assert record.summary["epochs"] == 2, "the epoch at hand is kept"
    resumed = True
    assert work(cfg, value=value) == work(config(force=True))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_where_another_process_holds_the_state_the_position_alone_is_kept():
    def attempt(stop_at=None):
        with Run.open(config()) as run:
            run.register()
            start = (run.epoch, run.step)
            for epoch in run.epochs(3):
                if epoch == stop_at:
                    os.kill(os.getpid(), signal.SIGTERM)
                    pytest.fail("SIGTERM waits for the end of the epoch")
                run.lr, run.step = 0.25 / (epoch + 1), 7 * (epoch + 1)
                run.log("test", score=epoch)
        return start

    with pytest.raises(SystemExit) as stop:
        attempt(stop_at=1)
    assert stop.value.code == 128 + signal.SIGTERM
    assert attempt() == (1, 7)
    assert [(line["epoch"], line["step"], line["lr"]) for line in lines()] == [
        (1, 7, 0.25), (2, 14, 0.125), (3, 21, 0.25 / 3),
    ]  # fmt: skip


def test_divergence_is_a_result():
    with Run.open(config()) as run:
        run.log("train", loss=math.nan)
        run.require_finite("training loss", math.nan)
        pytest.fail("a run goes on after it diverged")
    (record,) = load_records("toy")
    assert record.status == "diverged"
    assert "training loss is nan" in record.summary["error"]
    assert record.summary["final"] == {"train/loss": None}
    (line,) = lines()
    assert line["value"] is None
    assert line["flag"] == "nan"
    assert work(config()) is None, "a diverged run is finished"


def test_bad_input_leaves_nothing(tmp_path):
    with pytest.raises(UsageError), Run.open(config()):
        raise UsageError("no data")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(KeyboardInterrupt):
        work(config(), (1, 0))
    (before,) = load_records("toy")
    with pytest.raises(UsageError), Run.open(config()):
        raise UsageError("no data")
    (after,) = load_records("toy")
    assert after.summary == before.summary


def test_two_processes_do_not_share_a_run():
    with Run.open(config()) as run:
        run.log("test", score=0)
        with pytest.raises(UsageError, match="another process"):
            work(config())
    (record,) = load_records("toy")
    assert record.status == "done"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"device": "cuda"}, True),
        ({"seed": 3}, True),
        ({"threads": 2}, True),
        ({"epochs": 3.0}, True),
        ({"epochs": 4}, False),
        ({"extra": 0}, False),
    ],
)
def test_hash_covers_what_changes_the_result(change, same):
    one, other = (OmegaConf.to_container(c) for c in (config(), config(**change)))
    assert (config_hash(one) == config_hash(other)) == same


def test_label_names_what_differs_from_the_scale():
    assert scale_label(OmegaConf.to_container(config())) == "paper"
    assert scale_label(OmegaConf.to_container(config(epochs=2))) == "paper-epochs=2"


def test_a_device_that_is_none_is_named():
    with pytest.raises(UsageError, match="device='tpu'"):
        Run.open(config(device="tpu"))


def test_write_atomically_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_are_those_that_a_launcher_gives(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment.available_cores() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert environment.available_cores() == len(os.sched_getaffinity(0))
