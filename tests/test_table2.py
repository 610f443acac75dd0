"""Table 2 as a pure function of records: top-1 and top-5, with the paper's number only where it may stand."""

import csv

import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import zeros

from acprop.report import PUBLISHED, results_root
from acprop.report.__main__ import main
from acprop.report.build import refresh
from acprop.runs import Run
from acprop.runs.conf import roster
from acprop.runs.launch import CONF

CELLS = CONF / "imagenet" / "tuned" / "imagenet" / "resnet18"


def leave(optimizer="acprop", dataset="imagenet", seed=0, top1=(60.0, 71.0, 70.0), published=True):
    """A record as the ImageNet runner leaves it; top-5 is what top-1 is not."""
    cfg = OmegaConf.create(
        {
            "task": "imagenet", "seed": seed, "force": False, "device": "cpu", "threads": 1, "checkpoint_every_s": 0,
            "names": {"dataset": dataset, "model": "resnet18", "optimizer": optimizer},
            "scale": {"name": "paper", "epochs": 90}, "epochs": 90, "batch_size": 256,
            "precision": "bf16", "tracking": {"mode": "disabled", "project": "p", "entity": None},
        }
    )  # fmt: skip
    with Run.open(cfg, select=("test/top1", "max")) as run:
        run.describe(published_data=published)
        for epoch in run.epochs(len(top1)):
            run.log("test", top1=top1[epoch], top5=100 - top1[epoch] / 10)


def table(name):
    folder = results_root() / "tables"
    with (folder / f"{name}.csv").open() as file:
        return (folder / f"{name}.md").read_text(), {row["optimizer"]: row for row in csv.DictReader(file)}


def test_last_and_best_of_both_metrics_beside_the_papers_number():
    for seed in range(5):
        leave(seed=seed, top1=(60.0, 71.0 + seed, 70.0))
    leave("adabelief")
    assert main([]) == 0
    text, rows = table("table2_imagenet")
    row = rows["acprop"]
    assert (float(row["last_mean"]), float(row["best_mean"])) == (70.0, 73.0)
    assert (float(row["top5_last_mean"]), float(row["top5_best_mean"])) == (93.0, 92.7)
    assert row["top5_best_low"]
    acprop, adabelief, sgd = (
        next(line for line in text.splitlines() if line.startswith(f"| {name} "))
        for name in ("ACProp", "AdaBelief", "SGD")
    )
    assert "70.00 ± 0.00 (5) [70.00, 70.00] / paper 70.46 |" in acprop, "the authors' own run"
    assert "70.00 (1) / paper 70.08† |" in adabelief, "a quoted one"
    assert "not run / paper 69.76† | not run | not run | not run |" in sgd
    assert acprop.count("paper") == 1
    assert "| ResNet-18 top-1 last | ResNet-18 top-1 best | ResNet-18 top-5 last | ResNet-18 top-5 best |" in text
    assert "70.23†" in text.splitlines()[0]
    assert r"$\dagger$" in (results_root() / "tables" / "table2_imagenet.tex").read_text()
    assert (results_root() / "figures" / "table2_imagenet.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("dataset", "published", "name"),
    [("imagenette", True, "table2_imagenette"), ("imagenet", False, "table2_imagenet_paper-own=files")],
)
def test_other_data_never_stand_beside_the_paper(dataset, published, name):
    leave(dataset=dataset, published=published)
    refresh("imagenet")
    text, rows = table(name)
    assert "/ paper" not in text
    assert "†" not in text
    assert not [key for key in rows["acprop"] if key.startswith("paper")]


def test_the_published_table_is_whole():
    with (PUBLISHED / "table2_imagenet.csv").open() as file:
        rows = {row["optimizer"]: row for row in csv.DictReader(file)}
    assert set(rows) == {*roster("table2"), "sgd_best_in_literature"}
    assert {name for name, row in rows.items() if row["run_by"] == "authors"} == {"adashift", "acprop"}
    assert {row["run_by"] for row in rows.values()} == {"authors", "quoted"}


@pytest.mark.parametrize("optimizer", roster("table2"))
def test_every_cell_has_a_source_and_reaches_its_optimizer(optimizer, configure):
    text = (CELLS / f"{optimizer}.yaml").read_text()
    assert yaml.safe_load(text)["tuned"]["source"]
    cfg = configure("imagenet", f"optimizer={optimizer}", "scale=paper")
    group = instantiate(cfg.optimizer, _convert_="all")([zeros(1, requires_grad=True)]).param_groups[0]
    for key, value in yaml.safe_load(text)["optimizer"].items():
        assert (list(group[key]) if key == "betas" else group[key]) == value
    assert (cfg.epochs, cfg.batch_size, group["lr"]) == (90, 256, 0.1 if optimizer == "sgd" else 1e-3)
