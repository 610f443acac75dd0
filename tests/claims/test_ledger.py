"""The ledger: which records speak for which claim, and that they alone do."""

import csv
import math
import shutil
import subprocess

import pytest

from acprop.report import PUBLISHED, claims, results_root
from acprop.report.__main__ import main
from acprop.report.artefacts import PARTS
from acprop.report.claims import rules, write
from acprop.runs import Run, conf, load_records
from experiments.theory.__main__ import run as run_theory
from tests.claims.records import leave, leave_map
from tests.conftest import ROOT

PAPER = ("dataset=cifar10", "scale=paper")


def ledger():
    return claims.ledger(load_records())


def rows():
    return {row.id: row for row in ledger()}


def test_without_records_everything_is_there_and_not_run():
    found = rows()
    without_runs = {row.id for row in found.values() if row.verdict != rules.NOT_RUN}
    assert {found[name].verdict for name in without_runs} == {rules.CONTRADICTED}, "by the published tables alone"
    assert without_runs == {
        "abstract/better-than-adaptive-images", "abstract/better-than-adaptive-gans",
        "abstract/better-than-adaptive-translation", "abstract/better-than-adabelief",
    }  # fmt: skip
    assert {row.part for row in found.values()} == set(PARTS)
    wanted = {"fig1/adabelief", "fig6/resnet34/acprop", "fig6/resnet34/acprop-best", "table4/sngan/acprop"}
    assert wanted <= set(found)
    counts = {part: sum(row.part == part for row in found.values()) for part in PARTS}
    assert (counts["fig6"], counts["table2"], counts["table3"], counts["table4"]) == (24, 9, 24, 24)
    assert not any(row.runs for row in found.values())


@pytest.mark.parametrize(
    ("file", "row", "value"),
    [
        ("fig6_cifar10", "fig6/{model}/{optimizer}", "best"),
        ("table2_imagenet", "table2/{model}/{optimizer}", "top1"),
        ("table3_transformer", "table3/{dataset}/{optimizer}", "bleu"),
        ("table4_gan", "table4/{model}/{optimizer}", "fid"),
        ("table5_avagrad", "table5/{dataset}-{model}/{optimizer}", "value"),
    ],
)
def test_published_numbers_are_those_of_results_paper(file, row, value):
    found = rows()
    with (PUBLISHED / f"{file}.csv").open() as text:
        table = list(csv.DictReader(text))
    assert len(table) > 5
    for entry in table:
        claim = found[row.format(**entry)]
        assert claim.published_value == float(entry[value])
        assert claim.published.startswith(f"{float(entry[value]):.2f}")
        assert claim.published_std == (float(entry["std"]) if entry.get("std") else None)
        assert claim.source
        assert claim.run_by in ("authors", "quoted", "not stated")


def test_who_ran_table_2():
    ran = {row.id.split("/")[-1] for row in ledger() if row.id.startswith("table2") and row.run_by == "authors"}
    assert ran == {"adashift", "acprop", "acprop-best"}


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ((95.30, 95.36, 95.38, 95.40, 95.33), rules.REPRODUCED),
        ((94.0, 94.1, 94.2, 94.1, 94.1), rules.NOT_REPRODUCED),
        ((96.3, 96.4, 96.5, 96.4, 96.4), rules.NOT_REPRODUCED),
        ((95.0, 95.3, 95.9, 95.4, 95.2), rules.TOO_FEW),
        ((95.30, 95.36, 95.40), rules.TOO_FEW),
        ((95.36,), rules.TOO_FEW),
        ((float("nan"),), rules.NOT_REPRODUCED),
        ((95.36, 95.36, float("nan"), float("nan"), float("nan")), rules.NOT_REPRODUCED),
        ((95.36, 95.36, 95.35, 95.37, float("nan")), rules.INCONCLUSIVE),
    ],
)
def test_a_value_at_the_papers_scale(scores, verdict, configure):
    leave(configure, "cifar", *PAPER, "model=resnet34", scores=scores)
    found = rows()
    row = found["fig6/resnet34/acprop"]
    assert (row.verdict, row.scale, row.data) == (verdict, "paper", "cifar10")
    assert len(row.runs) == row.n == len(scores)
    failed = sum(math.isnan(score) for score in scores)
    assert row.value == pytest.approx(sum(0.0 if math.isnan(score) else score for score in scores) / len(scores))
    assert (f"{failed} of {len(scores)} failed" in row.ours) == bool(failed), "failed runs are counted, and told"
    if verdict == rules.TOO_FEW:
        assert "cannot be decided" in row.ours
    if len(scores) >= 5 and not failed:
        assert row.low < row.value < row.high
        assert "power" in row.ours
    else:
        assert row.low is None, "of fewer than five the runs are shown, and no interval"
    assert {name for name, row in found.items() if row.runs} == {"fig6/resnet34/acprop", "fig6/resnet34/acprop-best"}


@pytest.mark.parametrize(
    ("overrides", "published"),
    [
        (("dataset=cifar10", "scale=laptop"), True),
        (("dataset=cifar10", "scale=paper", "epochs=5"), True),
        (("dataset=cifar10", "scale=paper"), False),
        (("dataset=fashion_mnist", "scale=paper"), True),
        (("dataset=digits", "scale=laptop"), True),
    ],
)
def test_less_than_the_papers_scale_or_data_is_never_compared(overrides, published, configure):
    leave(configure, "cifar", *overrides, "model=resnet34", scores=(95.36, 95.36, 95.37), published=published)
    row = rows()["fig6/resnet34/acprop"]
    assert row.verdict == rules.SMALL_SCALE
    assert row.ours == ""
    assert "95.36, 95.36, 95.37 (3)" in row.small
    assert (row.scale, row.data) != ("paper", "cifar10")


@pytest.mark.parametrize("overrides", [("scale=smoke",), ("scale=laptop", "epochs=3")])
def test_smoke_runs_and_changed_laptop_budgets_are_nobodys_results(overrides, configure):
    leave(configure, "cifar", *overrides, "model=resnet34", scores=(95.0, 95.1))
    assert rows()["fig6/resnet34/acprop"].verdict == rules.NOT_RUN


def test_feature_fid_is_never_fid(configure):
    leave(configure, "gan", *PAPER, "model=sngan", "fid_network=classifier", scores=(12.44, 12.45))
    row = rows()["table4/sngan/acprop"]
    assert row.verdict == rules.SMALL_SCALE
    assert "feature FID" in row.small
    leave(configure, "gan", *PAPER, "model=sngan", scores=(12.4, 12.5, 12.45, 12.44, 12.43))
    row = rows()["table4/sngan/acprop"]
    assert (row.verdict, row.n) == (rules.REPRODUCED, 5)
    assert "feature FID" in row.small


def test_translation_in_small_and_at_the_papers_scale(configure):
    leave(configure, "transformer", "dataset=cldr_ja_en", "scale=laptop", scores=(80.0, 90.0))
    found = rows()
    assert {name for name, row in found.items() if row.runs} == {
        "table3/ted_ja_en/acprop", "table3/ted_ja_en/adabelief-best"
    }, "one optimizer alone is no comparison"  # fmt: skip
    assert found["table3/ted_ja_en/acprop"].small.startswith("embedded JA-EN, laptop: 80.00, 90.00 (2)")
    leave(configure, "transformer", "dataset=iwslt14_de_en", "scale=paper", scores=(35.3, 35.33, 35.35, 35.37, 35.4))
    found = rows()
    assert found["table3/iwslt14_de_en/acprop"].verdict == rules.REPRODUCED
    assert "± 0.012, which is no spread of training seeds" in found["table3/iwslt14_de_en/acprop"].published
    assert found["table5/iwslt14_de_en-transformer_iwslt/acprop"].verdict == rules.REPRODUCED


def test_settings_do_not_mix_and_only_the_published_ones_stand_beside_the_paper(configure):
    leave(configure, "cifar", *PAPER, "model=vgg11", "optimizer.lr=0.01", scores=(91.2, 91.3, 91.2, 91.3))
    assert rows()["fig6/vgg11/acprop"].verdict == rules.NOT_RUN
    leave(configure, "cifar", *PAPER, "model=vgg11", scores=(91.2, 91.3, 91.25, 91.22, 91.27))
    row = rows()["fig6/vgg11/acprop"]
    assert (row.verdict, row.n) == (rules.REPRODUCED, 5)
    # in small: the setting with most runs; between equals the published one; else none
    leave(configure, "cifar", "dataset=digits", "model=vgg11", "optimizer=adam", "optimizer.lr=0.01", scores=(1.0, 2.0))
    leave(configure, "cifar", "dataset=digits", "model=vgg11", "optimizer=adam", "optimizer.lr=0.1", scores=(5.0, 6.0))
    assert rows()["fig6/vgg11/adam"].verdict == rules.NOT_RUN
    leave(configure, "cifar", "dataset=digits", "model=vgg11", "optimizer=adam", scores=(3.0, 4.0))
    assert "3.00, 4.00 (2)" in rows()["fig6/vgg11/adam"].small


def test_a_ranking_needs_five_runs_a_side_and_beats_every_rival(configure):
    wrn = (*PAPER, "model=wrn28_10", "tuned=none")
    name = "table5/cifar10-wrn28_10/acprop-better"
    leave(configure, "cifar", *wrn, scores=(96.3, 96.4, 96.5, 96.6))
    leave(configure, "cifar", *wrn, "optimizer=avagrad", scores=(96.0, 96.1, 96.2, 96.0, 96.1))
    assert rows()[name].verdict == rules.TOO_FEW
    assert "below five runs" in rows()[name].ours
    leave(configure, "cifar", *wrn, scores=(96.3, 96.4, 96.5, 96.6, 96.7))
    row = rows()[name]
    assert (row.verdict, row.value, row.n, len(row.runs)) == (rules.REPRODUCED, 1.0, 5, 10)
    assert row.published == "ACProp 3.67 < AvaGrad 3.8"
    assert "power to see the published differences" in row.ours
    leave(configure, "cifar", *wrn, "force=true", scores=(float("nan"), 95.0, 95.0, 95.0, 95.0))
    assert rows()[name].verdict == rules.NOT_REPRODUCED, "less accurate is a larger error; diverged is worst"
    assert "ACProp: 1 of 5 failed" in rows()[name].ours


def test_a_ranking_in_small_is_told_in_words(configure):
    for optimizer, score in (("acprop", 98.0), ("adam", 99.0), ("sgd", 10.0)):
        leave(configure, "cifar", "dataset=digits", "model=vgg11", f"optimizer={optimizer}", scores=(score,))
    row = rows()["fig6/vgg11/acprop-best"]
    assert row.verdict == rules.SMALL_SCALE
    assert row.small == "digits, laptop (n = 1): ACProp is 2 of 3; Adam 99 > ACProp 98 > SGD 10"
    assert row.published.startswith("AdaBelief 91.41 > ACProp 91.24 > ")


def test_over_settings_each_against_the_same(configure):
    def leave_sweep(*scores):
        for lr in (0.01, 0.001, 1e-4, 1e-5):
            for eps in ("1e-8", "1e-6"):
                settings = (*PAPER, "model=vgg11", f"optimizer.lr={lr}", f"optimizer.eps={eps}")
                failed = [float("nan")] * len(scores)
                leave(configure, "cifar", *settings, scores=failed if lr == 0.01 else [s + 1 for s in scores])
                leave(configure, "cifar", "optimizer=adamw", *settings, scores=failed if lr == 0.01 else scores)

    leave_sweep(89.0)
    row = rows()["fig7/acprop-over-adamw"]
    assert (row.verdict, row.value, row.n) == (rules.TOO_FEW, 1.0, 6), "where both always fail, nobody is better"
    assert "cannot be decided with 3 lr" in row.ours
    leave_sweep(89.0, 89.1)
    found = rows()
    row = found["fig7/acprop-over-adamw"]
    assert (row.verdict, row.value, row.n, len(row.runs)) == (rules.REPRODUCED, 1.0, 6, 24)
    assert found["fig7/acprop-over-adashift"].verdict == rules.NOT_RUN, "no setting was run by both"
    stable = found["abstract/stable-like-adam"]
    assert stable.verdict == rules.TOO_FEW, "of two rivals one was not run"
    assert "ACProp fails in 4 of 16 runs, AdamW in 4 of 16" in stable.ours


def test_against_a_rival_at_every_learning_rate(configure):
    base = (*PAPER, "model=vgg11")
    for lr in (0.1, 0.01, 0.001, 1e-4, 1e-5):
        leave(configure, "cifar", *base, "optimizer=adashift", f"optimizer.lr={lr}", scores=(80.0,) * 5)
    assert rows()["fig5/vgg11/adashift-lr"].verdict == rules.NOT_RUN
    leave(configure, "cifar", *base, scores=(90.0,))
    assert rows()["fig5/vgg11/adashift-lr"].verdict == rules.TOO_FEW
    leave(configure, "cifar", *base, scores=(90.0,) * 5)
    row = rows()["fig5/vgg11/adashift-lr"]
    assert (row.verdict, len(row.runs)) == (rules.REPRODUCED, 30)
    assert "AdaShift lr 0.1 1.00 [0.48, 1.00], p 0.004" in row.ours


def test_what_tuning_ran_on_held_out_images_is_no_evidence(configure):
    leave(configure, "cifar", *PAPER, "model=vgg11", "held_out=0.1", scores=(91.2,) * 3)
    assert not any(row.runs for row in ledger())


@pytest.mark.parametrize(
    ("differ", "verdict"), [(0, rules.REPRODUCED), (4, rules.REPRODUCED), (5, rules.NOT_REPRODUCED)]
)
def test_a_map_is_counted_cell_by_cell(differ, verdict, configure):
    leave_map(configure, "eq1", "stated", differ)
    found = rows()
    for optimizer in ("adabelief", "rmsprop", "adam", "acprop", "adashift_1", "adashift_3"):
        row = found[f"fig1/{optimizer}"]
        full = optimizer in ("acprop", "adashift_1", "adashift_3")  # their pictures are alike, so they tell less
        weaker = {rules.REPRODUCED: rules.CONSISTENT}.get(verdict, verdict) if full else verdict
        assert (row.verdict, row.value) == (weaker, differ)
        assert ("adashift_1" in row.mutants) == (optimizer in ("acprop", "adashift_3") and differ <= 4)
        assert row.recalled, "no map comes from the paper's own text"
        assert found[f"fig1/{optimizer}-fitted"].verdict == rules.NOT_RUN, "another criterion is another row"
    assert found["fig3/acprop"].verdict == rules.NOT_RUN


def test_theory_that_really_ran(configure):
    for overrides in (("study=fig4",), ("criterion=limit",), ("criterion=limit", "problem=eq2")):
        run_theory(configure("theory", "tracking=none", *overrides))
    found = rows()
    wanted = {
        "fig1/async-everywhere", "fig1/sync-not-everywhere", "fig3/acprop-everywhere", "fig3/adashift-not-everywhere",
        "fig4/centred-above",
    }  # fmt: skip
    assert {name for name, row in found.items() if row.runs} == wanted
    weak = {"fig1/async-everywhere", "fig3/acprop-everywhere"}
    assert {found[name].verdict for name in weak} == {rules.CONSISTENT}
    assert {found[name].verdict for name in wanted - weak} == {rules.REPRODUCED}
    assert found["fig3/acprop-everywhere"].mutants == (
        "sgd", "mutant_momentum", "mutant_synchronous", "mutant_residual", "mutant_eps_outside"
    )  # fmt: skip
    assert "AdaBelief 215 of 400" in found["fig1/sync-not-everywhere"].ours


def test_theory_with_other_settings_or_a_smaller_budget_does_not_count(configure):
    run_theory(configure("theory", "tracking=none", "study=fig4", "study.P=30"))
    run_theory(configure("theory", "tracking=none", "study=fig2", "scale=smoke"))
    assert not any(row.runs for row in ledger())


def test_a_record_removed_changes_exactly_the_rows_it_fed(configure, tmp_path):
    for optimizer in ("acprop", "adam"):
        leave(configure, "cifar", *PAPER, "model=resnet34", f"optimizer={optimizer}", scores=(93.0, 93.1, 93.2))
    leave(configure, "cifar", "dataset=digits", "model=vgg11", scores=(98.0,))
    leave_map(configure, "eq1", "stated", 0)
    before = rows()
    folder = next(run for run in before["fig6/resnet34/adam"].runs if run.endswith("seed=1"))
    shutil.rmtree(tmp_path / "runs" / folder)
    after = rows()
    fed = {name for name, row in before.items() if folder in row.runs}
    assert fed == {"fig6/resnet34/adam", "fig6/resnet34/acprop-best"}, "of fewer than five runs no family tells"
    assert {name for name in before if before[name] != after[name]} == fed


def test_files(configure, tmp_path):
    leave(configure, "cifar", *PAPER, "model=resnet34", scores=(95.3, 95.36, 95.4, 95.36, 95.38))
    assert main(["claims"]) == 0
    text = (results_root() / "claims.md").read_text()
    found = ledger()
    assert text.startswith(
        f"Of {len(found)} claims, 6 were tested by a criterion that was not fitted to the outcome: 1 reproduced, "
        "4 contradicted by the paper itself, 1 too few runs. Of the rest, "
    )
    assert "2 verdicts rest on random numbers, each false with a chance of at most 5%: 0.1 false ones" in text
    assert "| Fig 6: CIFAR-10, test accuracy | 1 |  |  |  |  | 1 |  |  |  | 22 |" in text
    assert text.count("\n## ") == len(PARTS)
    with (results_root() / "claims.csv").open() as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    row = table["fig6/resnet34/acprop"]
    assert float(row["value"]) == rows()["fig6/resnet34/acprop"].value, "at full precision"
    assert all((tmp_path / "runs" / folder / "run.json").exists() for folder in row["runs"].split())
    first = {path.name: path.read_bytes() for path in results_root().iterdir()}
    write(ledger(), results_root())
    assert {path.name: path.read_bytes() for path in results_root().iterdir()} == first


def test_failed_records_are_no_evidence(configure):
    cfg = configure("cifar", *PAPER, "model=resnet34", "tracking=none")

    def fail():
        with Run.open(cfg, select=("test/top1", "max")) as run:
            run.log("test", top1=95.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert rows()["fig6/resnet34/acprop"].verdict == rules.NOT_RUN


def test_stand_ins_are_data_sets():
    datasets = {path.stem for path in (ROOT / "conf" / "dataset").glob("*.yaml")}
    assert {name for stand_ins in conf.read("stand_ins").values() for name in stand_ins} - datasets <= {
        "mnist", "imagenet", "imagenette", "image_folder"
    }  # fmt: skip


def test_every_claims_command_is_a_make_target():
    commands = {part for row in ledger() for part in row.command.split(" && ")} - {"none"}
    assert len(commands) > 50
    for command in sorted(commands):
        assert command.startswith("make "), command
        done = subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
        assert "experiments." in done.stdout, command
