"""The tables beyond the paper, from records as runs leave them."""

import math

import pytest

from acprop.report.artefacts import Artefact
from acprop.report.comparisons import Score, _drift, ends_told, of_cells, of_settings, one_for_all
from acprop.report.records import by_cell
from acprop.runs import Run, load_records

ACCURACY = Score("test top-1 (%)", lambda r: r.summary["final"]["test/top1"], True, ("test", "top1"))
LOSS = Score("loss", lambda r: r.summary["final"]["test/loss"], False, ("test", "loss"))


def leave(configure, *overrides, curves):
    """A run a seed; a curve is the test accuracy after each of its epochs of ten steps, at NaN the run diverges."""
    cfg = configure("cifar", "tracking=none", "dataset=digits", "tuned=none", "force=true", *overrides)
    for seed, curve in enumerate(curves):
        cfg.seed = seed
        with Run.open(cfg, select=("test/top1", "max")) as run:
            run.describe(test_size=10_000, num_classes=10)
            for epoch in run.epochs(len(curve)):
                run.step += 10
                run.require_finite("loss", curve[epoch])
                run.log("test", top1=curve[epoch], loss=100 - curve[epoch])


def texts(artefact: Artefact):
    return {row[0].text: [cell.text for cell in row[1:]] for row in artefact.rows}


def test_a_caption_says_of_which_cells_the_curve_still_moves_at_its_end(configure):
    """Of twenty epochs the last tenth is two; drift and spread by hand."""
    rising = [[50.0 + epoch + seed for epoch in range(20)] for seed in (0, 1)]  # + 2, spread 0.71
    leave(configure, "model=vgg11", "optimizer=adam", curves=rising)
    leave(configure, "model=vgg11", "optimizer=sgd", curves=[[60.0] * 19 + [60.0 + seed] for seed in (0.4, 2.4)])
    leave(configure, "model=vgg11", "optimizer=radam", curves=[[50.0 + epoch for epoch in range(20)]])
    leave(configure, "model=vgg11", "optimizer=adamw", curves=[[60.0] * 18 + [71.0, math.nan]] * 2)
    cells = by_cell(load_records())
    assert ends_told(cells, ACCURACY.curve) == (
        "Not flat at the end: the last tenth of training moves the mean of Adam (+2, spread 0.71). "
    )
    flat = {cell: group for cell, group in cells.items() if cell[1] == "sgd"}
    assert ends_told(flat, ACCURACY.curve).startswith("Flat at the end: ")
    alone = {cell: group for cell, group in cells.items() if cell[1] in ("radam", "adamw")}
    assert ends_told(alone, ACCURACY.curve) == "", "one good run or none"
    many = {("vgg11", f"adam (lr={number})"): flat["vgg11", "sgd"] for number in range(100)}
    assert ends_told(many, ACCURACY.curve) == "Whether curves are flat at the end is not told of so many (100). "


def test_a_tenth_begins_between_two_points_of_a_curve():
    assert _drift([(10, 0.0), (20, 10.0)]) == pytest.approx(2.0)
    assert _drift([(1, 5.0), (4, 6.0), (8, 9.0), (10, 9.0), (20, 9.5)]) == pytest.approx(0.1)


def test_speed_says_when_a_target_is_reached_how_often_and_at_what_cost(configure):
    leave(
        configure,
        "model=vgg11",
        "optimizer=acprop",
        curves=[[50.0, 90.0, 90.0], [50.0, 60.0, 90.0], [90.0, 90.0, 90.0]],
    )
    leave(
        configure,
        "model=vgg11",
        "optimizer=adam",
        curves=[[80.0, 85.0, 85.0], [80.0, 80.0, math.nan], [89.5, 85.0, 85.0]],
    )
    (table,) = of_cells("fig6", "fig6", "digits", by_cell(load_records()), ACCURACY)
    assert table.name == "fig6_speed"
    assert table.header[1] == "VGG-11 steps to 89.1"
    found = texts(table)
    assert found["ACProp"][0] == "20 (3 of 3)"
    assert found["Adam"][0] == "never (1 of 3)"
    assert found["Adam"][1] == "never"
    assert float(found["ACProp"][2]) >= 0
    assert {row["optimizer"]: row["reached"] for row in table.long} == {"acprop": 3, "adam": 1}
    # smaller is better: the same from the loss
    (by_loss,) = of_cells("fig6", "fig6", "digits", by_cell(load_records()), LOSS)
    assert by_loss.header[1] == "VGG-11 steps to 10.1"
    assert texts(by_loss)["ACProp"][0] == "20 (3 of 3)"


def test_all_tasks_together(configure):
    for model, best in (("vgg11", 80.0), ("resnet34", 90.0)):
        leave(configure, f"model={model}", "optimizer=acprop", curves=[[best]] * 4)
        leave(configure, f"model={model}", "optimizer=adam", curves=[[0.94 * best]] * 3 + [[math.nan]])
    leave(configure, "model=vgg11", "optimizer=sgd", curves=[[99.0]])
    table = list(of_cells("fig6", "fig6", "digits", by_cell(load_records()), ACCURACY))[1]
    assert table.name == "fig6_tasks"
    found = texts(table)
    assert set(found) == {"ACProp", "Adam"}, "an optimizer that missed a task is not compared over tasks"
    assert found["ACProp"] == ["1.000 [1.000, 1.000]", "100%", "100%", "100%", "1.00"]
    assert found["Adam"][1:] == ["75%", "0%", "0%", "2.00"], "a failed run is above nothing"
    assert "(Nemenyi), if they differ by 1.39. " in table.caption
    assert "Friedman" not in table.caption, "of two optimizers there is no such test"
    assert {row["optimizer"]: row["failed"] for row in table.long} == {"acprop": 0, "adam": 2}


def test_settings_their_range_and_what_trials_bring(configure):
    for lr, top1 in ((1e-4, 50.0), (1e-3, 89.5), (1e-2, 90.0)):
        leave(configure, "model=vgg11", "optimizer=acprop", f"optimizer.lr={lr}", curves=[[top1]])
    for lr, top1 in ((1e-4, 80.0), (1e-3, 85.0), (1e-2, math.nan)):
        leave(configure, "model=vgg11", "optimizer=adam", f"optimizer.lr={lr}", curves=[[top1]])
    leave(configure, "model=vgg11", "optimizer=sgd", "optimizer.lr=0.1", curves=[[70.0]])
    table = of_settings("fig7_settings", "fig7", "digits", list(load_records()), ACCURACY)
    found = {row[1].text: [cell.text for cell in row[2:]] for row in table.rows}
    assert set(found) == {"Adam", "ACProp"}, "one rate is no range"
    assert found["ACProp"] == ["0.01", "90", "≥ 1.0", "76.5", "89.83", "", "", "", "lr = 0.01 is the largest tried"]
    assert found["Adam"][:5] == ["0.001", "85", "0.0", "failed", "83.33"], "of two trials one is always good"
    assert found["Adam"][-1] == ""
    assert of_settings("x", "fig7", "digits", [], ACCURACY) is None


def test_one_setting_for_all_beside_the_tuned_one(configure):
    leave(configure, "model=vgg11", "optimizer=adam", curves=[[80.0], [82.0]])
    assert one_for_all("one", "fig6", "digits", list(load_records()), ACCURACY) is None
    leave(configure, "model=vgg11", "optimizer=adam", "tuned=cifar10", curves=[[85.0]])
    leave(configure, "model=vgg11", "optimizer=sgd", "tuned=cifar10", curves=[[85.0]])
    table = one_for_all("one", "fig6", "digits", list(load_records()), ACCURACY)
    assert [[cell.text for cell in row] for row in table.rows] == [["VGG-11", "Adam", "81 (2)", "85 (1)", "+4.00"]]


@pytest.mark.parametrize("score", [ACCURACY, LOSS])
def test_nothing_is_compared_where_nothing_ended(score):
    assert list(of_cells("fig6", "fig6", "digits", {}, score)) == []
