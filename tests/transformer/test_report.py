"""Table 3, its curves and its samples, from records as the runner leaves them."""

import csv

import matplotlib.image
import pytest

from acprop.report import results_root
from acprop.report.__main__ import main
from acprop.report.build import refresh
from acprop.runs import Run
from acprop.runs.conf import roster
from experiments.transformer import report as translation

PAIRS = ("iwslt14_de_en", "iwslt15_en_vi", "ted_ja_en", "ted_ro_en")  # of the paper


def leave(configure, *overrides, bleu=30.0, status="done", epochs=3):
    """A record with given scores: the average of the last epochs, the best one point below."""
    cfg = configure("transformer", "tracking=none", *overrides)
    with Run.open(cfg, select=("valid/bleu", "max")) as run:
        run.describe(languages=f"{cfg.dataset.get('source') or cfg.dataset.language}-{cfg.dataset.get('target', 'en')}")
        for epoch in run.epochs(epochs):
            run.log("valid", bleu=bleu * (epoch + 1) / epochs)
            if status == "diverged":
                run.require_finite("training loss", float("nan"))
        run.log("test", bleu=bleu, sacrebleu=bleu + 1, best_bleu=bleu - 1, best_sacrebleu=bleu)
        sample = {"source": "eins", "reference": "one", "translation": f"one {run.config['names']['optimizer']}"}
        run.describe(samples=[sample], sacrebleu_signature="nrefs:1")


def table(name):
    with (results_root() / "tables" / f"{name}.csv").open() as file:
        return {(row["dataset"], row["optimizer"]): row for row in csv.DictReader(file)}


def text(name):
    return (results_root() / "tables" / f"{name}.md").read_text()


def test_of_tuning_every_setting_is_shown_the_largest_validation_bleu_first_and_chosen(configure):
    tried = ("dataset=catalogues_de_en", "scale=study", "tuned=none", "epochs=6")  # by conf/sweep/catalogues.yaml
    for lr, bleu in ((1e-3, 10.0), (3e-3, 20.0), (9e-3, 15.0)):
        for seed in (100, 101):
            leave(configure, *tried, f"optimizer.lr={lr}", f"seed={seed}", bleu=bleu)
    refresh("transformer")
    (path,) = (results_root() / "tables").glob("table3_tuning_catalogues_de_en_study*.csv")
    with path.open() as file:
        found = [(float(row["lr"]), row["score_mean"], row["chosen"]) for row in csv.DictReader(file)]
    assert found == [(3e-3, "20.0", "yes"), (9e-3, "15.0", ""), (1e-3, "10.0", "")]
    assert not list((results_root() / "tables").glob("table3_catalogues*")), "no run of it is reported"


def test_the_table_shows_means_spread_and_what_is_missing(configure):
    for seed, bleu in enumerate((60.0, 62.0, 64.0, 62.0, 62.0)):
        leave(configure, f"seed={seed}", bleu=bleu)
    leave(configure, "dataset=cldr_ja_en", "optimizer=adam", status="diverged")
    assert main(["tables"]) == 0
    rows = table("table3_cldr_laptop")
    assert len(rows) == 2 * 5, "two pairs, five optimizers"
    row = rows["cldr_de_en", "acprop"]
    assert (float(row["average_mean"]), float(row["best_mean"]), float(row["average_std"])) == (62.0, 61.0, 1.4142)
    assert (float(row["average_sacrebleu_mean"]), row["seeds"], row.get("paper")) == (63.0, "0 1 2 3 4", None)
    assert rows["cldr_ja_en", "adam"]["diverged"] == "1"
    shown = text("table3_cldr_laptop")
    assert "62.00 ± 1.41 (5) [60.24, 63.76]" in shown
    assert "1 diverged" in shown
    assert shown.count("not run") == 2 * (10 - 2)
    assert "Scale: laptop (5 epochs" in shown
    assert "paper " not in shown.splitlines()[4], "embedded pairs are not set beside the paper's"
    assert "| one acprop |" in text("table3_cldr_laptop_samples")


def test_published_numbers_stand_beside_ours_at_paper_scale_only(configure):
    leave(configure, "dataset=iwslt14_de_en", "scale=paper", bleu=35.0)
    leave(configure, "dataset=iwslt14_de_en", "scale=smoke", bleu=1.0)
    leave(configure, "dataset=iwslt14_de_en", "scale=paper", "epochs=3", "average_last=3", bleu=20.0)
    refresh("transformer")
    names = {path.stem for path in (results_root() / "tables").glob("*.md") if not path.stem.endswith("_samples")}
    names = {name for name in names if not name.endswith("_speed")}
    assert names == {"table3_ted", "table3_ted_smoke", "table3_ted_paper-epochs=3-average_last=3"}
    assert "35.00 (1) / paper 35.35" in text("table3_ted")
    assert "not run / paper 34.66" in text("table3_ted")
    assert table("table3_ted")["iwslt14_de_en", "adam"]["paper"] == "34.66"
    for name in names - {"table3_ted"}:
        assert "/ paper" not in text(name)


def test_published_numbers_are_whole():
    paper = translation.published()
    assert set(paper) == {(pair, o) for pair in PAIRS for o in roster("table3")}
    assert paper["iwslt14_de_en", "acprop"] == 35.35


@pytest.mark.parametrize("optimizers", [["acprop"], ["acprop", "adam"]])
def test_curves_are_drawn_and_the_same_each_time(optimizers, configure):
    for name in optimizers:
        for seed in (0, 1):
            leave(configure, f"optimizer={name}", f"seed={seed}", bleu=30.0 + seed)
    refresh("transformer")
    path = results_root() / "figures" / "table3_cldr_laptop.png"
    assert matplotlib.image.imread(path)[..., :3].std() > 0.05
    first = path.read_bytes()
    refresh("transformer")
    assert path.read_bytes() == first
