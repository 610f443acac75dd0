"""`make quick` and `make reproduce` call what they should, in order, and tell of failures."""

import os
import re
import shutil
import subprocess

import pytest

from acprop.runs.conf import roster
from tests.conftest import ROOT


@pytest.fixture
def make(tmp_path):
    """make("target", ...) -> (finished process, what it would have called with this project's Python), with a Python
    that notes its arguments and fails for those that contain $FAIL."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "claims.md").write_text("Of 1 claims: 1 reproduced.\n\n## Fig 1\n\nnot shown\n")
    for name in ("pyproject.toml", "constraints.txt", ".venv/.ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@" >> calls\ncase "$*" in *$FAIL*) exit 1;; esac\n')
    python.chmod(0o755)

    def run(*words, fail="nothing"):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ACPROP_")}
        done = subprocess.run(
            ["make", "RUN=./python", *words], cwd=tmp_path, env={**environment, "FAIL": fail},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


@pytest.mark.parametrize("target", ["quick", "laptop"])
def test_every_task_runs_and_the_summary_and_the_page_end_it(make, target):
    done, calls = make(target)
    assert done.returncode == 0, done.stderr
    for task in ("cifar", "gan", "rl", "transformer", "theory"):
        assert any(f"experiments.{task}" in call for call in calls), task
    assert not any("scale=paper" in call or "cifar10" in call for call in calls)
    assert calls[-1] == "-m acprop.report"
    assert done.stdout.endswith("Of 1 claims: 1 reproduced.\n\nThe page: report/report.html\n")


def test_a_target_means_one_task_and_an_unknown_one_lists_what_there_is(make):
    for target, call in (
        ("cifar10-sngan", "experiments.gan -m dataset=cifar10 model=sngan optimizer=acprop"),
        ("fashion_mnist-vgg11", "experiments.cifar -m dataset=fashion_mnist model=vgg11 optimizer=acprop"),
        ("iwslt14_de_en-transformer", "experiments.transformer -m dataset=iwslt14_de_en optimizer=acprop"),
    ):
        assert call in make(target)[1][-1]
    before = len(make("help")[1])
    for words in (["cifar10-sngn"], ["sweep"], ["sweep", "NAME=fig77"]):
        done, calls = make(*words)
        assert done.returncode == 2
        assert len(calls) == before, "nothing ran"
        assert "error: " in done.stderr
        assert ("fig7" if "sweep" in words else "cifar10") in done.stderr


def test_all_are_the_optimizers_of_the_table(make):
    _, calls = make("cifar10-dcgan", "OPTIMIZER=all", "SEEDS=5,6")
    assert f"optimizer={','.join(roster('table4'))} seed=5,6" in calls[-1]


def test_study_runs_every_study_and_fetches_sentences_once(make, tmp_path):
    done, calls = make("study")
    assert done.returncode == 0, done.stderr
    names = [
        re.search(r"\+sweep=(\w+)|(acprop\.report|fetch_catalogues)", call)[0].removeprefix("+sweep=") for call in calls
    ]
    assert names == [
        "four_rooms", "fashion_mnist", "robustness", "fetch_catalogues", "fashion_mnist_gan", "catalogues",
        "control", "rl_eps", "acprop.report",
    ]  # fmt: skip
    (tmp_path / "data" / "catalogues").mkdir(parents=True)
    (tmp_path / "data" / "catalogues" / "packages.json").touch()
    assert not any("fetch_catalogues" in call for call in make("study")[1][len(calls) :])


def test_quick_stops_where_a_task_fails(make):
    done, calls = make("quick", fail="experiments.gan")
    assert done.returncode != 0
    assert not any("acprop.report" in call for call in calls)


def test_reproduce_plans_goes_on_after_a_failure_and_says_so_at_the_end(make):
    done, calls = make("reproduce", "ARGS=hydra/launcher=submitit_slurm", fail="model=sngan")
    assert done.returncode != 0
    assert calls[0] == "scripts/plan.py"
    assert calls[-1] == "-m acprop.report"
    cells = calls[1:-1]
    for part in (
        "cifar -m dataset=cifar10 model=densenet121", "gan -m dataset=cifar10 model=sagan", "imagenet", "ted_ro_en",
        "+sweep=fig7", "+sweep=fig5cd", "model=wrn28_10", "optimizer=avagrad", "experiments.rl", "study=map",
    ):  # fmt: skip
        assert any(part in call for call in cells), part
    assert all("hydra/launcher=submitit_slurm" in call for call in cells), "the last word of the same name counts"
    own_seeds = ("experiments.theory", "experiments.rl", "+sweep")
    assert all("seed=0,1,2,3,4 " in call for call in cells if not any(name in call for name in own_seeds))
    assert "1 reproduced" in done.stdout


def test_reproduce_that_goes_well_ends_well_and_takes_other_seeds(make):
    done, calls = make("reproduce", "SEEDS=7")
    assert done.returncode == 0, done.stderr
    assert any("model=vgg11" in call and "seed=7 " in call for call in calls)
