"""The maps as the main path makes them, run, record and report, beside the published pictures."""

import csv

import numpy as np
import pytest

from acprop.report import PUBLISHED, results_root
from acprop.report.build import refresh
from acprop.runs import UsageError, load_records
from experiments.theory import report as theory
from experiments.theory.__main__ import run
from experiments.theory.maps import beta2, simulate
from experiments.theory.problems import PERIODIC
from experiments.theory.recurrences import start

SIX = "[adabelief,rmsprop,adam,acprop,adashift_1,adashift_3]"
THREE = "[acprop,adashift_1,adashift_3]"


def counts(name="theory_maps"):
    with (results_root() / "tables" / f"{name}.csv").open() as file:
        return {
            (row["problem"], row["criterion"], row["optimizer"], float(row["beta1"])): row
            for row in csv.DictReader(file)
        }


def differing(configure, problem, criterion, panels, beta1):
    run(configure("theory", f"problem={problem}", f"criterion={criterion}", f"problem.panels={panels}",
                  f"study.beta1={beta1}", "tracking=none"))  # fmt: skip
    refresh("theory")
    return {key[2:]: int(row["differ_from_published"]) for key, row in counts("theory_maps_beta1").items()}


@pytest.mark.slow
def test_matching_gives_the_published_fig1(configure):
    found = differing(configure, "eq1", "matching", SIX, "[0.3,0.9]")
    own = {(name, 0.3) for name in ("adam", "adabelief")}
    own |= {(name, b1) for name in ("rmsprop", "acprop", "adashift_1", "adashift_3") for b1 in (0.3, 0.9)}
    assert {cell: found[cell] for cell in own} == dict.fromkeys(own, 0)
    # the criterion's own beta1 is what the main table shows
    assert {key[2:] for key in counts()} == {
        (name, 0.3 if name in ("adam", "adabelief") else 0.9) for name in SIX[1:-1].split(",")
    }


def test_matching_gives_the_published_fig3(configure):
    found = differing(configure, "eq2", "matching", THREE, "[0.9]")
    assert found == {("acprop", 0.9): 0, ("adashift_1", 0.9): 2, ("adashift_3", 0.9): 2}


@pytest.mark.slow
def test_stated_does_not_give_the_published_fig1(configure):
    found = differing(configure, "eq1", "stated", "[adam,adabelief,acprop,acprop_skip]", "[0.9]")
    assert found == {("adam", 0.9): 51, ("adabelief", 0.9): 59, ("acprop", 0.9): 0, ("acprop_skip", 0.9): 138}


def test_limit_of_both_maps(configure):
    found = differing(configure, "eq1", "limit", SIX, "[0.9]")
    assert found == {
        ("adabelief", 0.9): 53, ("rmsprop", 0.9): 117, ("adam", 0.9): 45,
        ("acprop", 0.9): 0, ("adashift_1", 0.9): 0, ("adashift_3", 0.9): 0,
    }  # fmt: skip


def test_published_cells_are_whole():
    maps = theory.published_maps()
    assert {key: cells.shape for key, cells in maps.items()} == {
        **{("eq1", name): (16, 25) for name in SIX[1:-1].split(",")},
        **{("eq2", name): (21, 25) for name in THREE[1:-1].split(",")},
    }
    assert {key: int(cells.sum()) for key, cells in maps.items()} == {
        ("eq1", "rmsprop"): 250, ("eq1", "adam"): 210, ("eq1", "adabelief"): 236, ("eq1", "acprop"): 400,
        ("eq1", "adashift_1"): 400, ("eq1", "adashift_3"): 400, ("eq2", "acprop"): 525, ("eq2", "adashift_1"): 464,
        ("eq2", "adashift_3"): 464,
    }  # fmt: skip
    assert (PUBLISHED / "convergence_maps.csv").stat().st_size < 10_000


def test_the_grid_is_its_cells():
    """One array of (lr, P, beta2) against a loop over its cells, projection and criterion included."""
    problem, periods, x_axis = PERIODIC["eq1"], np.array([3, 8]), np.array([0.3, 1.0, 2.0])
    criterion = {"measure": "x", "below": 0.0, "x0": 0.5, "lrs": [0.01, 0.3], "tail": 50}
    converges, distance = simulate(start("adabelief", 0.5, beta2(x_axis)), problem, periods, 3, 300, criterion)
    for i, P in enumerate(periods):
        for j, value in enumerate(x_axis):
            means, distances = [], []
            for lr in criterion["lrs"]:
                rule, x, tail = start("adabelief", 0.5, beta2(value)), 0.5, []
                for t in range(1, 301):
                    x = min(1.0, max(-1.0, x - lr / t**0.5 * float(rule.send(problem.gradient(t, P)))))
                    tail.append(x)
                means.append(np.mean(tail[-50:]))
                distances.append(np.mean(np.abs(np.array(tail[-50:]) + 1)))
            assert converges[i, j] == (min(means) < 0)
            assert distance[i, j] == pytest.approx(min(distances), abs=1e-9)
    assert 0 < converges.sum() < converges.size


def test_a_record_becomes_table_and_figures(configure):
    run(configure("theory", "criterion=limit", "tracking=none"))
    written = refresh("theory")
    assert set(written) == {"fig1_limit", "fig1_limit_beta1", "theory_maps", "theory_maps_beta1"}
    for name in ("fig1_limit", "fig1_limit_beta1"):
        for suffix in (".png", ".pdf"):
            assert 10_000 < (results_root() / "figures" / (name + suffix)).stat().st_size < 700_000
    text = (results_root() / "tables" / "theory_maps.md").read_text()
    assert "| RMSProp | 117 / 400 (133) |" in text
    for words in ("Fig 1 limit: + if the drift", "β1 = 0.9"):
        assert words in text
    # a cell of the record changed changes its count and no other
    before = counts()
    (record,) = load_records("theory")
    arrays = record.arrays
    row = record.config["problem"]["panels"].index("acprop")
    arrays["converges"][row, record.config["study"]["beta1"].index(0.9), 5, 5] ^= True
    np.savez_compressed(record.path / "arrays.npz", **arrays)
    (record.path / "run.json").touch()  # a run writes it last
    refresh("theory")
    after = counts()
    assert [key for key in before if before[key] != after[key]] == [("eq1", "limit", "acprop", 0.9)]
    assert after["eq1", "limit", "acprop", 0.9]["differ_from_published"] == "1"


def test_other_settings_stand_beside_and_not_in_place(configure):
    for more in ([], ["study.beta1=[0.9]"]):
        run(configure("theory", "criterion=limit", "tracking=none", *more))
    run(configure("theory", "criterion=limit", "tracking=none", "scale=smoke", "study.beta1=[0.9]"))
    names = set(refresh("theory"))
    assert {name.split("-hash=")[0] for name in names} == {
        "theory_maps", "theory_maps_beta1", "theory_maps_smoke", "theory_maps_beta1_smoke",
        "fig1_limit", "fig1_limit_beta1", "fig1_limit_smoke", "fig1_limit_beta1_smoke",
    }  # fmt: skip
    assert sum("-hash=" in name for name in names) == 8


def test_other_axes_are_not_compared(configure):
    run(configure("theory", "criterion=limit", "problem.periods=[3,5]", "tracking=none", "study.beta1=[0.9]"))
    refresh("theory")
    assert {row["differ_from_published"] for row in counts().values()} == {""}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("problem.panels=[adamw]", "problem.panels=['adamw']"),
        ("criterion.eq1.measure=y", "criterion.eq1.measure='y'"),
        ("budget=0", "budget=0"),
        ("study.beta1=[0.3,0.5]", "study.beta1"),
        ("criterion.eq1.steps.default=0", "steps"),
    ],
)
def test_a_bad_setting_is_one_line_and_leaves_nothing(override, words, configure, tmp_path):
    with pytest.raises(UsageError) as error:
        run(configure("theory", override, "tracking=none"))
    assert words in str(error.value)
    assert not (tmp_path / "runs").exists()
