"""The sweeper and the protocols in conf/sweep: what is chosen by, what is reported."""

import csv
import re
from collections import Counter

import pytest
import torch
import yaml

from acprop.report import results_root
from acprop.runs import load_records
from acprop.runs.launch import CONF, build
from experiments.images.data import digits
from tests.test_sweeper import Sweeper

SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
ONE_SEED = "sweep.report='seed=0'"
TINY = ("dataset=digits", "scale=smoke", "train_size=120", "tracking=none")


@pytest.mark.slow
def test_settings_are_chosen_on_held_out_images_and_the_test_set_reports(command, tmp_path):
    spec = (
        "sweep.cells='model=vgg11'",
        "sweep.grids=['optimizer=sgd optimizer.lr=1e-9,1e-8','optimizer=adam optimizer.lr=1e9,1e-3']",
        "sweep.report='seed=0,1'", "sweep.tuning='held_out=0.25 seed=100'",
    )  # fmt: skip
    done = command("-m", "experiments.cifar", "-m", "+sweep=cifar10", *spec, *TINY, "batch_size=8")
    assert done.returncode == 0, done.stderr
    records = list(load_records("cifar"))
    tuning = [r for r in records if r.config["held_out"]]
    final = [r for r in records if not r.config["held_out"]]
    trials = Counter(r.summary["optimizer"] for r in tuning)
    assert trials["adam"] == trials["sgd"] > 2, "the best lay at an end, so the grids grew, and by as much"
    assert {(r.summary["train_size"], r.summary["test_size"]) for r in tuning} == {(90, 30)}
    assert {r.summary["seed"] for r in tuning} == {100}
    assert all(key.startswith(("train/", "validation/")) for r in tuning for key in r.summary["final"])
    assert {(r.summary["train_size"], r.summary["test_size"]) for r in final} == {(120, 360)}
    assert {(r.summary["optimizer"], r.summary["seed"]) for r in final} == {
        (name, seed) for name in ("sgd", "adam") for seed in (0, 1)
    }
    rates = {r.summary["optimizer"]: r.config["optimizer"]["lr"] for r in final}
    assert rates["adam"] == 1e-3, "the other diverged or stayed at chance"
    with (results_root() / "tables" / "tuning_digits_smoke-train_size=120-batch_size=8.csv").open() as file:
        chosen = {row["optimizer"]: float(row["lr"]) for row in csv.DictReader(file) if row["chosen"]}
    assert chosen["adam"] == rates["adam"]

    again = command("-m", "experiments.cifar", "-m", "+sweep=cifar10", *spec, *TINY, "batch_size=8")
    assert again.returncode == 0, again.stderr
    assert sum(map(int, re.findall(r"^(\d+) runs are finished already", again.stdout, re.M))) == len(records)


@pytest.mark.slow
def test_a_figure_of_many_settings_reports_each(command):
    done = command("-m", "experiments.cifar", "-m", "+sweep=fig5cd", "sweep.cells='model=vgg11'", ONE_SEED, *TINY)
    assert done.returncode == 0, done.stderr
    records = list(load_records("cifar"))
    assert sorted((r.summary["optimizer"], r.config["optimizer"]["lr"]) for r in records) == [
        ("acprop", 1e-3), *(("adashift", 10.0**-e) for e in (5, 4, 3, 2, 1)),
    ]  # fmt: skip
    stem = "fig5cd_digits_smoke-train_size=120"
    assert (results_root() / "figures" / f"{stem}.png").stat().st_size > 1000
    table = (results_root() / "tables" / f"{stem}.md").read_text()
    assert table.count("| AdaShift (lr=") == 5
    # The two cells that Fig 6 has too are the same runs; the other settings of AdaShift stay out of it
    shared = (results_root() / "tables" / "fig6_digits_smoke-train_size=120.md").read_text()
    assert shared.count("(1) |") == 4
    assert "(2)" not in shared


@pytest.mark.parametrize("name", SWEEPS)
def test_every_protocol_composes_and_gives_every_optimizer_as_many_settings(name, configure):
    text = yaml.safe_load((CONF / "sweep" / f"{name}.yaml").read_text())["sweep"]
    assert set(text) - {"trials", "part"} == {
        "task",
        "cells",
        "prior" if "trials" in text else "grids",
        "tuning",
        "report",
    }
    sweeper = Sweeper(text, None)
    optimizers = dict(sweeper.optimizers())
    seeds = []
    for phase in filter(None, (text["tuning"], text["report"])):
        how = sweeper.every(phase)
        seeds.append({word for one in how for word in one if word.startswith("seed=")})
        for optimizer, space in optimizers.items():
            point = space.first()[0]
            for cell in sweeper.every(text["cells"]):
                cfg = configure(text["task"], *cell, *optimizer.split(), *point, *how[0])
                made = build("optimizer", cfg.optimizer, [torch.zeros(2, requires_grad=True)])
                assert made.param_groups[0]["lr"] > 0, "and the optimizer takes them"
        if phase is text["report"] and text["task"] != "transformer":
            assert not cfg.get("held_out"), "what is reported is the test set"
    if text["tuning"]:
        assert not seeds[0] & seeds[1], "what is reported did not choose"
        counts = {name: len(space.first()) for name, space in optimizers.items()}
        if name != "cifar10":  # the paper's own grid
            assert len(set(counts.values())) == 1, counts


def test_held_out_images_are_none_that_train():
    data = digits().first(200)
    part = data.hold_out(0.1)
    assert (part.train_size, part.test_size) == (180, 20)
    known = {image.numpy().tobytes() for image in part.train_images}
    assert not any(image.numpy().tobytes() in known for image in part.test_images)
    assert (data.hold_out(0.1).test_labels == part.test_labels).all(), "the same always"
