"""The sweeper's grid grows where the best setting lies at its end, and every optimizer gets as many trials."""

import math

from hydra_plugins.tuned_sweeper import ROUNDS, TunedSweeper, at_ends, further, grid

JOBS = [["model=a", "optimizer=adam", f"optimizer.lr={lr}", f"optimizer.eps={eps}"]
        for lr in ("1e-3", "1e-2", "1e-1") for eps in ("1e-8", "1e-6")]  # fmt: skip


def test_a_grid_is_what_differs_on_a_logarithmic_scale():
    assert grid(JOBS) == {"optimizer.lr": [1e-3, 1e-2, 1e-1], "optimizer.eps": [1e-8, 1e-6]}
    assert grid([["optimizer.momentum=0.9"], ["optimizer.momentum=0.99"]]) == {}
    assert grid([["optimizer.lr=0.1"]]) == {}, "one value is no grid"


def test_ends_and_what_lies_beyond():
    assert at_ends(JOBS[2], JOBS) == ["optimizer.eps"]
    assert further(JOBS[0], JOBS, 2) == [
        ["model=a", "optimizer=adam", "optimizer.lr=0.0001", "optimizer.eps=1e-8"],
        ["model=a", "optimizer=adam", "optimizer.lr=1e-3", "optimizer.eps=1e-10"],
    ]
    inner = [["optimizer.lr=1e-3"], ["optimizer.lr=1e-2"], ["optimizer.lr=1e-1"]]
    assert at_ends(inner[1], inner) == []
    assert further(inner[1], inner, 2) == [["optimizer.lr=0.00316"], ["optimizer.lr=0.0316"]]
    assert further(inner[0], inner, 1) == [["optimizer.lr=0.0001"]]
    assert further(["optimizer=sgd"], [["optimizer=sgd"]], 1) == [], "nothing was varied"


class Sweeper(TunedSweeper):
    """With a score in place of runs."""

    def __init__(self, worth):
        self.spec = type("Spec", (), {"tuning": "seed=100,101"})()
        self.worth, self.launches = worth, []

    def run(self, jobs):
        self.launches.append(jobs)
        return [self.worth({w.partition("=")[0]: w.partition("=")[2] for w in job}) for job in jobs]

    def every(self, overrides):
        key, _, values = overrides.partition("=")
        return [[f"{key}={value}"] for value in values.split(",")]


def candidates():
    return {
        f"optimizer={name}": [[f"optimizer={name}", f"optimizer.lr={lr}"] for lr in ("1e-3", "1e-2", "1e-1")]
        for name in ("adam", "sgd")
    }


def peak(at, noise=0.0):
    def worth(job):
        best = at[job["optimizer"]]
        return -abs(math.log10(float(job["optimizer.lr"]) / best)) + (noise if job["seed"] == "100" else -noise)

    return worth


def test_it_goes_on_beyond_the_end_with_equal_trials(capsys):
    sweeper = Sweeper(peak({"adam": 1e-4, "sgd": 1e-2}))
    chosen = sweeper.tune(candidates(), ["x=1"])
    assert chosen == [["optimizer=adam", "optimizer.lr=0.0001"], ["optimizer=sgd", "optimizer.lr=1e-2"]]
    assert [len(jobs) for jobs in sweeper.launches] == [12, 4, 4], "each trial in both seeds"
    for jobs in sweeper.launches:
        assert len({sum(f"optimizer={name}" in job for job in jobs) for name in ("adam", "sgd")}) == 1
        assert all(job[-1] == "x=1" for job in jobs)
    told = capsys.readouterr().out
    assert "optimizer=adam: optimizer.lr=0.0001, the best of 5" in told
    assert "warning" not in told


def test_it_stops_and_warns_where_the_best_is_still_at_the_end(capsys):
    sweeper = Sweeper(peak({"adam": 1e-12, "sgd": 1e-2}))
    sweeper.tune(candidates(), [])
    assert len(sweeper.launches) == 1 + ROUNDS
    assert (
        "optimizer=adam: optimizer.lr=1e-05, the best of 5 with -7.00; warning: at the end of its grid in optimizer.lr"
        in (capsys.readouterr().out)
    )


def test_a_grid_that_holds_its_best_is_left_alone_and_seeds_are_averaged():
    sweeper = Sweeper(peak({"adam": 1e-2, "sgd": 1e-2}, noise=5.0))
    assert sweeper.tune(candidates(), [])[0] == ["optimizer=adam", "optimizer.lr=1e-2"]
    assert len(sweeper.launches) == 1


def test_an_optimizer_that_never_ends_well_is_left_out(capsys):
    sweeper = Sweeper(lambda job: -math.inf if job["optimizer"] == "adam" else peak({"sgd": 1e-2})(job))
    assert sweeper.tune(candidates(), []) == [["optimizer=sgd", "optimizer.lr=1e-2"]]
    assert len(sweeper.launches) == 1
    assert "optimizer=adam: none of its" in capsys.readouterr().out
