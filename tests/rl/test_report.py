"""Fig 9's table, figures and tuning as pure functions of records."""

import csv
import math
import random

import matplotlib.image
import numpy as np
import pytest

from acprop.report import results_root
from acprop.report.__main__ import main
from acprop.report.build import refresh
from acprop.report.settings import choices
from acprop.report.stats import probability_of_improvement
from acprop.runs import Run, load_records
from acprop.runs.conf import roster
from acprop.runs.record import write_json
from experiments.rl import report as rl
from experiments.rl.four_rooms import FREE, LAYOUT, MOVES


def leave(configure, *overrides, returns=(-0.5, 0.5, 0.8), exact=0.79, fail=False):
    """A record as the runner would leave it, with given evaluation returns at steps 0, 1000, 2000..."""
    cfg = configure("rl", "tracking=none", *overrides)
    with Run.open(cfg, select=("eval/return", "max")) as run:
        run.describe(optimum=0.86)
        for index, value in enumerate(returns):
            run.step = 1000 * index
            run.log("train", max_update_per_lr=10.0 * index)
            run.log("eval", **{"return": value, "length": 10})
        run.require_finite("loss", math.nan if fail else 0.0)
        run.log("policy", **{"return": exact})
        q = np.random.default_rng(0).random((len(FREE), 4)).tolist()
        write_json(
            run.dir / "policy.json",
            {
                "layout": LAYOUT, "moves": list(MOVES.values()), "cells": FREE, "goal": [7, 9], "discount": 0.99,
                "optimal_q": q, "learnt_q": q,
            },
        )  # fmt: skip


def rows(name):
    with (results_root() / "tables" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_measured_by_its_curve(configure):
    leave(configure, returns=(-0.5, 0.5, 0.8, 0.7))
    (record,) = load_records("rl")
    assert rl.last_return(record) == 0.7
    assert rl.mean_return(record) == pytest.approx((0.0 + 0.65 + 0.75) / 3)
    assert rl.steps_to_near_optimum(record) == 2000
    assert rl.largest_step(record) == 30.0


def test_fig9_has_every_optimizer_and_keeps_studies_apart(configure):
    for seed in range(5):
        leave(configure, f"seed={seed}", returns=(0.0, 0.2 + 0.1 * seed), exact=0.3)
        leave(configure, "optimizer=adam", f"seed={seed}", returns=(0.0, 0.8 + 0.01 * seed), exact=0.8)
    leave(configure, "optimizer=sgd", fail=True)
    leave(configure, "optimizer.eps=1e-4", returns=(0.0, 0.123))
    assert main([]) == 0
    table = {row["optimizer"]: row for row in rows("fig9_four_rooms")}
    assert set(table) == set(roster("fig9"))
    assert float(table["acprop"]["last_return_mean"]) == pytest.approx(0.4)
    assert float(table["acprop"]["mean_return_mean"]) == pytest.approx(0.2)
    assert table["acprop"]["steps_to_90"] == "inf inf inf inf inf"
    assert table["adam"]["steps_to_90"] == "1000 1000 1000 1000 1000"
    assert float(table["acprop"]["better_than_adam"]) == 0.0
    text = (results_root() / "tables" / "fig9_four_rooms.md").read_text()
    assert "1 diverged" in text
    assert "not run" in text
    assert "> 16,000 (0/5)" in text
    assert "**0.820 ± 0.016 (5) [0.800, 0.840]**" in text
    assert [(row["eps"], row["seeds"]) for row in rows("rl_eps_four_rooms")] == [
        ("0.0001", "0"), ("1e-12", "0 1 2 3 4"),
    ], "the run of Fig 9 with the setting of its cell is a part of this too"  # fmt: skip
    for name in ("fig9_four_rooms", "fig9_policy_four_rooms", "rl_eps_four_rooms"):
        image = matplotlib.image.imread(results_root() / "figures" / f"{name}.png")
        assert image[..., :3].std() > 0.03, name


def test_other_agents_and_environments_get_files_of_their_own(configure):
    cfg = configure("rl", "model=ppo", "dataset=cartpole", "tuned=none", "tracking=none", "scale=laptop")
    with Run.open(cfg) as run:
        for step in (0, 10):
            run.step = step
            run.log("eval", **{"return": 9.0, "length": 9})
    refresh("rl")
    assert [row["optimizer"] for row in rows("fig9-ppo_cartpole_laptop") if row["n"] == "1"] == ["acprop"]


def sweep(configure, name, values):
    """values: lr -> mean return. Scale and seed are those by which conf/sweep/four_rooms.yaml tunes."""
    for lr, value in values.items():
        settings = ("tuned=none", "scale=laptop", "seed=100", f"optimizer={name}", f"optimizer.lr={lr}")
        leave(configure, *settings, returns=(value, value))


def test_the_rule_is_the_largest_mean_return(configure):
    sweep(configure, "acprop", {1e-4: 0.15, 1e-3: 0.45, 1e-2: 0.5})
    sweep(configure, "sgd", {0.1: 0.5, 0.3: 0.35, 1.0: 0.0})
    refresh("rl")
    table = rows("rl_sweep_four_rooms_laptop")
    assert len(table) == 6
    assert {row["optimizer"]: row["lr"] for row in table if row["chosen"]} == {"acprop": "0.01", "sgd": "0.1"}
    assert not list((results_root() / "tables").glob("fig9*")), "what tunes is not what is reported"


@pytest.mark.parametrize("reported", [1e-4, 1e-3, 1e-2])
def test_of_equal_settings_the_reported_one_was_chosen_and_an_end_is_none_if_one_within_is_as_good(configure, reported):
    sweep(configure, "acprop", {1e-4: 0.5, 1e-3: 0.5, 1e-2: 0.5})
    leave(configure, "tuned=none", "scale=paper", f"optimizer.lr={reported}")
    refresh("rl")
    table = rows("rl_sweep_four_rooms_laptop")
    assert [float(row["lr"]) for row in table if row["chosen"]] == [reported]
    assert float(table[0]["lr"]) == reported, "and stands first"
    assert [row["edge"] for row in rows("rl_settings_four_rooms_laptop")] == [""]


def test_a_setting_that_diverged_is_not_chosen(configure):
    sweep(configure, "acprop", {1e-4: 0.1})
    leave(configure, "tuned=none", "scale=laptop", "optimizer.lr=1e-3", "seed=100", returns=(0.9, 0.9), fail=True)
    chosen = choices(load_records("rl"), rl.mean_return)
    assert dict(chosen["four_rooms", "laptop", "dqn", "acprop"])["lr"] == "0.0001"
    refresh("rl")
    table = {float(row["lr"]): row for row in rows("rl_sweep_four_rooms_laptop")}
    assert (table[1e-3]["diverged"], table[1e-3]["score_mean"], table[1e-3]["chosen"]) == ("1", "", "")
    assert list(table) == [1e-4, 1e-3], "the best first"


def test_probability_of_improvement_counts_pairs_and_its_interval_covers():
    assert probability_of_improvement([1, 2, 2, 2, 2], [1, 3, 3, 3, 3])[0] == (0.5 + 4) / 25
    assert probability_of_improvement([1, 2, 3, 4], [1, 2, 3, 4, 5]) is None
    assert probability_of_improvement([5, 6, 7, 8, 9], [0, 1, 2, 3, 4]) == (1.0, pytest.approx(0.4782, abs=1e-4), 1.0)
    generator = random.Random(0)
    x, y = ([generator.gauss(mean, 1) for _ in range(30)] for mean in (1, 0))
    value, low, high = probability_of_improvement(x, y)
    truth = 0.5 * (1 + math.erf(0.5))  # two normal variables one apart, spread sqrt(2)
    assert low < truth < high
    assert low < value < high
    assert high - low < 0.4
