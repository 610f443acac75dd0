"""Table 4, its figure and its pages of samples are pure functions of records."""

import csv

import pytest
import torch
from matplotlib.image import imread

from acprop.report import PUBLISHED, results_root
from acprop.report.__main__ import main
from acprop.report.build import refresh
from acprop.runs import Run
from acprop.runs.conf import roster
from experiments.gan import report as gan

FACTS = {"network": "inception", "dims": 2048, "n_real": 10000, "n_fake": 10000, "batch_size": 100}


def leave(configure, *overrides, scores=(90.0, 40.0, 60.0), status="done", published=True):
    """A record as the runner would leave it, with given scores."""
    cfg = configure("gan", "tracking=none", *overrides)
    metric, split = gan.METRICS[cfg.fid_network], "validation" if cfg.held_out else "test"
    with Run.open(cfg, select=(f"{split}/{metric}", "min")) as run:
        facts = FACTS if metric == "fid" else {**FACTS, "network": "classifier", "dims": 64, "classifier_top1": 99.0}
        run.describe(fid=facts, published_data=published)
        for epoch in run.epochs(len(scores)):
            list(run.batches(range(10)))
            run.log(split, **{metric: scores[epoch]})
            if epoch == len(scores) - 1:
                run.log(split, **{metric.replace("fid", "kid"): scores[-1] / 1e4}, precision=0.75, recall=0.5)
            run.log_image("grid", torch.full((1, 20, 20), 25 * epoch + 50, dtype=torch.uint8))
        if status == "diverged":
            run.require_finite("loss", float("nan"))
        run.describe(collapsed=scores[-1] > cfg.collapse)


def rows(name):
    with (results_root() / "tables" / f"{name}.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def test_of_tuning_every_setting_is_shown_the_smallest_distance_first_and_chosen(configure):
    for model, best in (("dcgan", 1e-3), ("sngan", 1e-4)):
        for lr in (1e-4, 1e-3):
            for seed in (100, 101):
                cell = (f"model={model}", "tuned=none", f"optimizer.lr={lr}", "held_out=0.2", f"seed={seed}")
                leave(configure, *cell, scores=(90.0, (20.0 if lr == best else 30.0) + seed))
    leave(configure, "tuned=none", "optimizer.lr=1e-2", "held_out=0.2", "seed=100", status="diverged")
    refresh("gan")
    with (results_root() / "tables" / "table4_feature_fid_tuning_digits_laptop.csv").open() as file:
        found = [(r["model"], float(r["lr"]), r["score_mean"], r["chosen"]) for r in csv.DictReader(file)]
    assert found == [
        ("dcgan", 1e-3, "120.5", "yes"), ("dcgan", 1e-4, "130.5", ""), ("dcgan", 1e-2, "", ""),
        ("sngan", 1e-4, "120.5", "yes"), ("sngan", 1e-3, "130.5", ""),
    ]  # fmt: skip
    assert not (results_root() / "tables" / "table4_feature_fid_digits_laptop.csv").exists(), "no run of it is reported"


def test_best_and_last_beside_the_papers_numbers(configure):
    for seed in range(5):
        scores = (30.0, 11.0 + seed, 20.0)
        leave(configure, "dataset=cifar10", "model=sngan", "scale=paper", f"seed={seed}", scores=scores)
    leave(configure, "dataset=cifar10", "model=sngan", "scale=paper", "optimizer=adam", scores=(300.0, 280.0))
    leave(configure, "dataset=cifar10", "model=sngan", "scale=paper", "optimizer=radam", status="diverged")
    assert main(["tables"]) == 0
    row = rows("table4_cifar10")["sngan", "acprop"]
    assert (float(row["best_mean"]), float(row["best_std"]), float(row["last_mean"])) == (13.0, 1.5811, 20.0)
    assert (row["seeds"], row["paper_best"], row["paper_std"]) == ("0 1 2 3 4", "12.44", "0.02")
    text = (results_root() / "tables" / "table4_cifar10.md").read_text()
    assert "13.00 ± 1.58 (5) [11.04, 14.96] / paper 12.44 ± 0.02" in text
    assert "280.00 (1); 1 collapsed |" in text
    assert "1 diverged / paper 13.00 ± 0.04" in text
    assert "not run / paper 26.62" in text
    caption = text.splitlines()[0]
    assert "FID, lower is better (10000 generated against 10000 test images, 2048 features)" in caption
    assert "feature" not in caption.replace("2048 features", "")
    assert "the paper's lr is" not in caption


@pytest.mark.parametrize(
    ("overrides", "published", "name"),
    [
        (("dataset=cifar10", "scale=paper", "fid_network=classifier"), True, "table4_feature_fid_cifar10"),
        (("dataset=cifar10", "scale=paper"), False, "table4_cifar10_paper-own=files"),
        (("dataset=digits",), True, "table4_feature_fid_digits_laptop"),
    ],
)
def test_only_published_files_stand_beside_the_paper(overrides, published, name, configure):
    leave(configure, *overrides, published=published)
    refresh("gan")
    text = (results_root() / "tables" / f"{name}.md").read_text()
    assert "/ paper" not in text
    assert "60.00 (1)" in text
    if "feature" in name:
        assert "feature FID" in text.splitlines()[0]
        assert "not comparable with any published FID" in text.splitlines()[0]
        assert "test top-1 99.00 %" in text.splitlines()[0]


def test_the_two_metrics_never_share_a_table(configure):
    leave(configure, "dataset=cifar10", "scale=paper", scores=(40.0,))
    leave(configure, "dataset=cifar10", "scale=paper", "fid_network=classifier", scores=(7.0,))
    refresh("gan")
    assert rows("table4_cifar10")["dcgan", "acprop"]["best_mean"] == "40.0"
    assert rows("table4_feature_fid_cifar10")["dcgan", "acprop"]["best_mean"] == "7.0"


def test_kid_precision_and_recall_have_a_table_of_their_own(configure):
    for seed in (0, 1):
        leave(configure, "dataset=cifar10", "model=sngan", "scale=paper", f"seed={seed}", scores=(9.0, 20.0 + 4 * seed))
    leave(configure, "dataset=cifar10", "model=dcgan", "scale=paper", "optimizer=adam", status="diverged")
    refresh("gan")
    text = (results_root() / "tables" / "table4_cifar10_kid.md").read_text()
    assert text.startswith("CIFAR-10, the last pictures: KID, lower is better, precision and recall (10000 generated")
    assert "| SNGAN | ACProp | 2.00, 2.40 (2) | 0.75, 0.75 (2) | 0.50" in text
    assert "| DCGAN | Adam | 1 diverged | 1 diverged | 1 diverged |" in text
    assert "| SNGAN | Adam | not run | not run | not run |" in text
    row = rows("table4_cifar10_kid")["sngan", "acprop"]
    assert (row["kid_x1000_mean"], row["precision_mean"], row["recall_mean"], row["seeds"]) == (
        "2.2",
        "0.75",
        "0.5",
        "0 1",
    )


def test_another_learning_rate_is_said(configure):
    leave(configure, "lr=0.005")
    refresh("gan")
    path = results_root() / "tables" / "table4_feature_fid_digits_laptop-lr=0.005.md"
    assert "lr 0.005; the paper's lr is 0.0002" in path.read_text().splitlines()[0]


def test_of_rates_that_each_optimizer_has_for_itself_the_budget_names_none(configure):
    leave(configure, "optimizer.lr=0.003")
    refresh("gan")
    path = results_root() / "tables" / "table4_feature_fid_digits_laptop.md"
    caption = path.read_text().splitlines()[0]
    assert "fp32)" in caption, caption
    assert "paper's lr" not in caption


def test_figures_and_pages_are_drawn_and_the_same_each_time(configure):
    for model in ("dcgan", "sagan"):
        leave(configure, f"model={model}")
        leave(configure, f"model={model}", "seed=1", scores=(80.0, 50.0, 55.0))
    leave(configure, "model=dcgan", "optimizer=adam")
    stem = "table4_feature_fid_digits_laptop"
    names = {stem, f"{stem}_samples_acprop", f"{stem}_samples_adam"}
    assert set(refresh("gan")) == names | {f"{stem}_kid", f"{stem}_speed"}
    folder = results_root() / "figures"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {f"{name}{suffix}" for name in names for suffix in (".png", ".pdf")}
    assert all(imread(folder / f"{name}.png")[..., :3].std() > 0.05 for name in names)
    page = imread(folder / f"{stem}_samples_acprop.png")[..., 0]
    assert (abs(page - 100 / 255) < 0.01).mean() > 0.02, "the last picture of the run, as it was saved"
    refresh("gan")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_published_numbers_are_whole():
    with (PUBLISHED / "table4_gan.csv").open() as file:
        table = {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}
    assert set(table) == {(m, o) for m in ("dcgan", "rlgan", "sngan", "sagan") for o in roster("table4")}
    assert all(row["source"] for row in table.values())
    assert table["dcgan", "acprop"]["fid"] == "43.43"
