"""What the sweeper tries and chooses: equal trials for every optimizer, more where the best lies at an edge."""

import math
from types import SimpleNamespace

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from acprop.runs import UsageError, runs_root
from acprop.runs.launch import Failure
from hydra_plugins.tuned_sweeper import ROUNDS, TunedSweeper

GRIDS = {
    "task": "cifar", "cells": "model=vgg11 dataset=digits", "tuning": "seed=100,101 epochs=1", "report": "seed=0,1,2",
    "grids": ["optimizer=adam,sgd optimizer.lr=1e-3,1e-2,1e-1"],
}  # fmt: skip
PRIOR = {
    **{key: value for key, value in GRIDS.items() if key != "grids"}, "trials": 12,
    "prior": [
        "optimizer=sgd optimizer.momentum=0.9 optimizer.lr=tag(log,interval(1e-3,1)) optimizer.weight_decay=0,1e-4",
        "optimizer=adam,acprop optimizer.lr=tag(log,interval(1e-5,1e-1)) optimizer.eps=tag(log,interval(1e-10,1e-4))"
        " optimizer.weight_decay=0,1e-4,5e-4",
    ],
}  # fmt: skip


class Sweeper(TunedSweeper):
    """With a score in place of runs."""

    def __init__(self, spec, worth):
        self.spec = OmegaConf.create(spec)
        self.parser = OverridesParser.create()
        self.choices = {"dataset": "digits", "model": "resnet34", "sweep": "own"}
        self.config = self.hydra_context = None
        self.launched, self.launches = 0, []
        self.launcher = SimpleNamespace(launch=self.launch, unfinished=list)
        self.worth = worth

    def validate_batch_is_legal(self, jobs):
        pass

    def launch(self, jobs, initial_job_idx):
        assert initial_job_idx == sum(map(len, self.launches))
        self.launches.append([dict(word.split("=", 1) for word in job) for job in jobs])
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=self.worth(job)) for job in self.launches[-1]]

    @property
    def tuning(self):
        return self.launches[:-1]

    @property
    def reported(self):
        return self.launches[-1]


def peak(noise=0.0, **best):
    """A score that is largest at `optimizer.lr=best` and falls with the decades from it."""

    def worth(job):
        off = abs(math.log10(float(job["optimizer.lr"]) / best[job["optimizer"]]))
        return -off + (noise if job["seed"] == "100" else -noise)

    return worth


def run(spec, worth, *arguments):
    sweeper = Sweeper(spec, worth)
    sweeper.sweep(["+sweep=own", *arguments])
    return sweeper


def test_a_grid_that_holds_its_best_is_left_alone_and_seeds_are_averaged(capsys):
    sweeper = run(GRIDS, peak(noise=5.0, adam=1e-2, sgd=1e-2), "x=1")
    assert [len(jobs) for jobs in sweeper.launches] == [12, 6]
    assert {(job["seed"], job["epochs"], job["x"]) for job in sweeper.tuning[0]} == {
        ("100", "1", "1"),
        ("101", "1", "1"),
    }
    assert {(job["seed"], job.get("epochs")) for job in sweeper.reported} == {("0", None), ("1", None), ("2", None)}
    assert {job["optimizer.lr"] for job in sweeper.reported} == {"0.01"}
    assert "optimizer=adam optimizer.lr=0.01: the best of 3 settings with 0\n" in capsys.readouterr().out


def test_a_grid_goes_on_beyond_its_end_with_equal_trials(capsys):
    sweeper = run(GRIDS, peak(adam=1e-4, sgd=1e-2))
    assert [len(jobs) for jobs in sweeper.tuning] == [12, 4, 4], "each trial in both seeds"
    for jobs in sweeper.tuning:
        assert len({sum(job["optimizer"] == name for job in jobs) for name in ("adam", "sgd")}) == 1
    assert {job["optimizer.lr"] for job in sweeper.tuning[1] if job["optimizer"] == "adam"} == {"0.0001"}
    assert all(1e-3 < float(job["optimizer.lr"]) < 1e-1 for job in sweeper.tuning[1] if job["optimizer"] == "sgd")
    assert {float(job["optimizer.lr"]) for job in sweeper.reported if job["optimizer"] == "adam"} == {1e-4}
    assert "edge" not in capsys.readouterr().out


def test_it_stops_and_says_so_where_the_best_is_still_at_the_end(capsys):
    sweeper = run(GRIDS, peak(adam=1e-12, sgd=1e-2))
    assert len(sweeper.tuning) == 1 + ROUNDS
    told = capsys.readouterr().out
    assert "optimizer=adam optimizer.lr=1e-05: the best of 5 settings with -7, which lies at an edge still" in told
    assert "optimizer=sgd optimizer.lr=0.01: the best of 5 settings with 0\n" in told


def test_what_is_not_on_a_log_scale_has_no_end():
    spec = {**GRIDS, "grids": ["optimizer=adam optimizer.lr=1e-2 optimizer.momentum=0,0.9,0.99"]}
    sweeper = run(spec, lambda job: float(job["optimizer.momentum"]))
    assert len(sweeper.tuning) == 1
    assert {job["optimizer.momentum"] for job in sweeper.reported} == {"0.99"}


def test_without_tuning_every_setting_is_reported():
    sweeper = run({**GRIDS, "tuning": None}, lambda job: 0.0)
    assert [len(jobs) for jobs in sweeper.launches] == [2 * 3 * 3]


def test_a_prior_gives_every_optimizer_as_many_seeded_trials():
    first, again = (run(PRIOR, peak(adam=1e-3, sgd=3e-2, acprop=1e-3)) for _ in range(2))
    assert first.launches == again.launches
    jobs = first.tuning[0]
    assert len(jobs) == 3 * 12 * 2
    for name in ("sgd", "adam", "acprop"):
        own = [job for job in jobs if job["optimizer"] == name]
        low, high = (1e-3, 1) if name == "sgd" else (1e-5, 1e-1)
        rates = sorted({float(job["optimizer.lr"]) for job in own})
        assert len(rates) == 12
        assert low <= rates[0] < low * (high / low) ** 0.3
        assert high >= rates[-1] > low * (high / low) ** 0.7
        decays = {float(job["optimizer.weight_decay"]) for job in own}
        assert decays == ({0, 1e-4} if name == "sgd" else {0, 1e-4, 5e-4})
    assert all(job["optimizer.momentum"] == "0.9" for job in jobs if job["optimizer"] == "sgd")
    same = [[job["optimizer.eps"] for job in jobs if job["optimizer"] == name] for name in ("adam", "acprop")]
    assert same[0] == same[1], "the same quantiles for all, so luck favours none"


def test_a_prior_is_widened_for_the_one_at_its_edge_and_all_get_as_many_more():
    sweeper = run(PRIOR, peak(adam=1e-3, sgd=1e-6, acprop=1e-3))
    assert [len(jobs) for jobs in sweeper.tuning] == [72, 24, 24]
    further = {name: [float(job["optimizer.lr"]) for job in sweeper.tuning[1] if job["optimizer"] == name]
               for name in ("sgd", "adam", "acprop")}  # fmt: skip
    assert {len(rates) for rates in further.values()} == {8}
    assert all(1e-4 <= rate <= 1e-3 for rate in further["sgd"]), "the decade below"
    assert all(1e-5 <= rate <= 1e-1 for rate in further["adam"] + further["acprop"])
    known = {job["optimizer.lr"] for job in sweeper.tuning[0]}
    assert not known & {job["optimizer.lr"] for job in sweeper.tuning[1] if job["optimizer"] == "adam"}, "new ones"
    assert all(float(job["optimizer.lr"]) < 1e-4 for job in sweeper.tuning[2] if job["optimizer"] == "sgd")


def test_a_list_of_a_prior_goes_a_step_beyond_its_end_and_nothing_lies_below_zero(capsys):
    def worth(job):
        return float(job["optimizer.weight_decay"]) * (1 if job["optimizer"] == "acprop" else -1)

    sweeper = run(PRIOR, worth)
    assert [len(jobs) for jobs in sweeper.tuning] == [72, 24, 24]
    best = max(sweeper.tuning[0], key=worth)
    for jobs, decay in zip(sweeper.tuning[1:], ("0.0025", "0.0125"), strict=True):
        beyond, *others = [job for job in jobs if job["optimizer"] == "acprop" and job["seed"] == "100"]
        assert beyond == {**best, "optimizer.weight_decay": decay, "seed": "100"}, "the best, with more decay"
        others += [job for job in jobs if job["optimizer"] == "adam"]
        assert {float(job["optimizer.weight_decay"]) for job in others} <= {0, 1e-4, 5e-4}, "the prior as stated"
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in told if "edge still" in line] == ["optimizer=acprop"]


def test_one_that_diverges_is_never_chosen(capsys):
    def worth(job):
        if job["optimizer"] == "adam" or (job["optimizer.lr"], job["seed"]) == ("0.01", "101"):
            return None  # diverged
        return peak(sgd=1e-2)(job)

    sweeper = run(GRIDS, worth)
    assert {job["optimizer"] for job in sweeper.reported} == {"sgd"}
    assert "0.01" not in {job["optimizer.lr"] for job in sweeper.reported}, "it diverged in one of two seeds"
    assert "optimizer=adam: none of its" in capsys.readouterr().out


def test_nothing_is_chosen_where_a_run_failed(capsys):
    def worth(job):
        failed = (job["optimizer"], job["optimizer.lr"], job["seed"]) == ("adam", "0.1", "101")
        return Failure("killed", mistake=False) if failed else peak(adam=1e-2, sgd=1e-2)(job)

    sweeper = run(GRIDS, worth)
    assert [len(jobs) for jobs in sweeper.launches] == [12]
    assert "1 settings have failed runs; nothing is chosen before they are mended" in capsys.readouterr().out


def test_the_choice_is_a_config_that_runs_it_again():
    run(PRIOR, peak(adam=1e-3, sgd=3e-2, acprop=1e-3))
    folder = runs_root() / ".sweep" / "conf" / "cifar" / "tuned"
    assert yaml.safe_load((folder / "digits.yaml").read_text()) == {"of": "digits"}
    text = (folder / "digits" / "vgg11" / "sgd.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    cell = yaml.safe_load(text)
    assert set(cell["optimizer"]) == {"momentum", "lr", "weight_decay"}
    assert cell["optimizer"]["momentum"] == 0.9
    assert abs(math.log10(cell["optimizer"]["lr"] / 3e-2)) < 0.5
    assert cell["tuned"]["source"].startswith(
        "own sweep own (model=vgg11 dataset=digits seed=100,101 epochs=1): the best of 12 settings with -0."
    )


@pytest.mark.parametrize("interval", ["interval(1e-3,1)", "tag(log,interval(0,1))", "tag(log,interval(1,1e-3))"])
def test_a_prior_that_is_none_is_refused(interval):
    spec = {**PRIOR, "prior": [f"optimizer=sgd optimizer.lr={interval}"]}
    with pytest.raises(UsageError, match=r"sweep\.prior="):
        run(spec, lambda job: 0.0)
    with pytest.raises(UsageError, match=r"sweep\.prior="):
        run({**GRIDS, "grids": ["optimizer=sgd optimizer.lr=tag(log,interval(1e-3,1))"]}, lambda job: 0.0)
