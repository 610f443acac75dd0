"""The paper within a time: what comes first, what stops, and that it goes on."""

import sys
import time
from types import SimpleNamespace

import pytest

from acprop.runs import load_records
from scripts import gpu_check, reproduce

LINES = 6  # of metrics an epoch: loss, top-1 and top-5 of two splits
CELL = ("dataset=digits", "model=vgg11", "scale=laptop", "tracking=none", "device=cpu", "checkpoint_every_s=1000")


def unit(name, *overrides, worth=1.0, data=""):
    command = (sys.executable, "-m", "experiments.cifar", *CELL, *overrides)
    return reproduce.Unit(name, command, worth, 1.0, data)


@pytest.mark.parametrize(("budget", "expected"), [("9m", 540), ("2h", 7200), ("1h30m", 5400), ("90s", 90)])
def test_a_budget_is_a_time(budget, expected):
    assert reproduce.seconds(budget) == expected


def test_another_is_one_line(capsys):
    for budget in ("9", "soon", ""):
        assert reproduce.main(["--budget", budget]) == 2
        told = capsys.readouterr().err
        assert told == f"error: BUDGET={budget!r} is not possible: a time such as 9m, 2h, 1h30m or 90s\n"


def test_what_settles_most_per_minute_comes_first_and_every_row_of_the_plan_is_there():
    todo = sorted(reproduce.units([]), key=lambda one: -one.worth)
    assert todo[0].name == "Fig 1 to 5b, Rosenbrock, the rate"
    names = [one.name for one in todo]
    first = [
        next(i for i, name in enumerate(names) if name.startswith(row)) for row in ("Fig 6: VGG", "Table 4: SNGAN")
    ]
    assert first == sorted(first)
    assert names.index("Fig 6: VGG-11, acprop, seed 0") < names.index("Fig 6: VGG-11, sgd, seed 1"), (
        "a seed of each first"
    )
    rows = {row for row in reproduce.assumed_hours() if not row.startswith(("Fig 7", "Fig 5c", "lr x eps"))}
    assert rows == {row for row, *_ in reproduce.TRAININGS}
    assert sum(one.name.startswith("Fig 6: VGG-11") for one in todo) == 35


def test_what_is_finished_is_not_done_again_and_says_how_long_it_takes(monkeypatch):
    cell = ("dataset=cifar10", "model=vgg11", "optimizer=adam", "seed=0", "scale=paper")
    summary = {
        "status": "done", "scale": "paper", "task": "cifar", "model": "vgg11", "device": reproduce.this_device(),
        "wall_s": 600.0,
    }  # fmt: skip
    record = SimpleNamespace(summary=summary, folder=reproduce.folder_of("cifar", cell))
    monkeypatch.setattr(reproduce, "load_records", lambda: [record])

    def todo(*overrides):
        return [one for one in reproduce.units(overrides) if one.name.startswith("Fig 6: VGG-11")]

    assert len(todo()) == len(todo("tracking=none")) == 34
    assert {one.minutes for one in todo()} == {10.0}
    assert len(todo("epochs=3")) == 35, "another run of the same names"


def test_an_override_that_there_is_not_is_one_line(monkeypatch, capsys):
    record = SimpleNamespace(
        summary={"status": "diverged", "scale": "paper"}, folder="cifar/cifar10-vgg11/adam-0/seed=0"
    )
    monkeypatch.setattr(reproduce, "load_records", lambda: [record])
    assert reproduce.main(["--budget", "9m", "epoch=3"]) == 2
    assert capsys.readouterr().err.startswith("error: epoch: there is no such setting (did you mean epochs?)")


@pytest.mark.slow
def test_it_stops_in_time_and_goes_on(capfd, monkeypatch, tmp_path):
    """The time is over when what stops has saved a part of itself, and the short training is done."""

    def is_over(epochs):
        saved = [len(path.read_bytes().splitlines()) for path in (tmp_path / "runs").rglob("seed=1/metrics.jsonl")]
        short = [record.status for record in load_records("cifar") if record.summary["seed"] == 0]
        return float(short == ["done"] and sum(saved) > epochs * LINES)

    def work(todo, epochs, parallel):
        clock = SimpleNamespace(monotonic=lambda: is_over(epochs), sleep=time.sleep)
        with monkeypatch.context() as patch:
            patch.setattr(reproduce, "time", clock)
            return reproduce.work(todo, 1.0, parallel)

    todo = [unit("short", "scale=smoke"), unit("long", "scale=smoke", "seed=1", "epochs=20000", "checkpoint_every_s=1")]
    assert work(todo, 2, 2) == []
    assert "stopped, and kept: long" in capfd.readouterr().out
    (long,) = (record for record in load_records("cifar") if record.summary["seed"] == 1)
    assert long.status == "interrupted"
    epochs = long.summary["epochs"]
    assert epochs >= 2
    work(todo[1:], epochs + 1, 1)
    (again,) = (record for record in load_records("cifar") if record.summary["seed"] == 1)
    assert again.summary["attempts"] == 2
    assert again.summary["epochs"] > epochs


def test_of_a_data_set_that_is_not_there_one_training_is_tried():
    fails = (sys.executable, "-c", "import sys; sys.exit(2)")
    todo = [reproduce.Unit(str(n), fails, 1, 1, "imagenet") for n in range(3)]
    todo.append(reproduce.Unit("other", (sys.executable, "-c", "import sys; sys.exit(1)"), 1, 1, "cifar10"))
    assert reproduce.work(todo, time.monotonic() + 60, 1) == [2, 1]


def test_the_check_of_a_gpu_says_in_one_line_that_there_is_none(capsys):
    assert gpu_check.main([]) == 2
    told = capsys.readouterr()
    assert told.err == "error: gpu-check: torch sees no GPU here; --device cpu tries the script itself\n"
    assert not told.out


def test_a_check_is_a_record_and_fails_if_something_does(monkeypatch):
    def checks(device, given):
        return {"steps_per_s": 3.0}, (["the kernel is wrong"] if given.seconds == 1 else [])

    monkeypatch.setitem(gpu_check.CHECKS, "kernel", checks)
    arguments = ["--device", "cpu", "--only", "kernel", "--seconds"]
    assert [gpu_check.main([*arguments, seconds]) for seconds in ("2", "1")] == [0, 1]
    records = list(load_records("gpu_check"))
    assert sorted(record.summary["failed"] for record in records) == [[], ["the kernel is wrong"]]
    assert {record.summary["final"]["kernel/steps_per_s"] for record in records} == {3.0}


def test_the_kernel_check_runs_where_there_is_a_kernel():
    assert gpu_check.main(["--device", "cpu", "--only", "kernel"]) == 0
