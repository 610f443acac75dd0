"""The other studies: their maths, and each from config to figure at smoke scale."""

import math

import numpy as np
import pytest
import torch

from acprop.report import results_root
from acprop.report.build import refresh
from acprop.runs import load_records
from acprop.runs.launch import CONF, build
from experiments.theory.__main__ import run
from experiments.theory.mlp import denominator
from experiments.theory.problems import STOCHASTIC, rosenbrock, rosenbrock_gradient
from experiments.theory.rate import fit, mean_squared_norms
from experiments.theory.recurrences import start

STUDIES = sorted(path.stem for path in (CONF / "theory" / "study").glob("*.yaml"))


def slopes(value, x, h=1e-6):
    """Central differences of a function of the last axis."""
    shifts = h * np.eye(x.shape[-1])
    return (value(x[..., None, :] + shifts) - value(x[..., None, :] - shifts)) / (2 * h)


# distances to (1, 1) read off the curves of the authors' project page, after so many thousand steps
ROSENBROCK = {
    "adam": {20: 3.37, 30: 2.38, 40: 2.03, 50: 1.65},
    "rmsprop": {30: 2.05, 40: 1.57, 50: 0.58, 56.5: 0.01},
    "sgd": {57: 0.88},
}


@pytest.mark.parametrize("name", ROSENBROCK)
def test_the_published_settings_of_rosenbrock_follow_the_published_curves(name, configure):
    study = configure("theory", "study=rosenbrock").study
    at = study.published[name]
    rule, x = start(name, study.beta1, at.get("beta2", study.beta2)), np.array([study.x0], float)
    for t in range(1, study.steps + 1):
        x = x - at.lr * rule.send(rosenbrock_gradient(x))
        if t / 1000 in ROSENBROCK[name]:
            assert np.hypot(*(x[0] - 1)) == pytest.approx(ROSENBROCK[name][t / 1000], abs=0.01)


def test_rosenbrock_gradient():
    x = np.random.default_rng(0).normal(size=(5, 2))
    expected = slopes(lambda p: rosenbrock(p[..., 0], p[..., 1]), x)
    np.testing.assert_allclose(rosenbrock_gradient(x), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_problems_are_what_the_theorem_asks_for(name):
    """The gradient is that of the value; bounded; and the function is not convex."""
    problem = STOCHASTIC[name]()
    x = 3 * np.random.default_rng(0).normal(size=(200, 10))
    np.testing.assert_allclose(problem.gradient(x), slopes(problem.value, x), rtol=1e-5, atol=1e-7)
    far = problem.gradient(1e3 * x)
    assert np.isfinite(far).all()
    assert np.abs(far).max() < 10
    h = 0.1 * np.eye(10)
    along_axes = problem.value(x[:, None] + h) + problem.value(x[:, None] - h) - 2 * problem.value(x)[:, None]
    assert along_axes.min() < -1e-6
    assert len({tuple(STOCHASTIC[name]().gradient(x[0])) for _ in range(2)}) == 1, "the same problem each time"


def test_fit_finds_a_known_slope_and_its_interval_covers_it():
    random, T = np.random.default_rng(0), np.array([100, 400, 1600, 6400])
    norms = 3 * T[:, None] ** -0.5 * random.uniform(0.5, 1.5, (4, 200))
    slope, low, high = fit(T, norms)
    assert low < slope < high
    assert low < -0.5 < high
    assert high - low < 0.1


def test_horizons_side_by_side_are_runs_of_their_own():
    problem, T = STOCHASTIC["ripples"](), np.array([7, 20])
    both = mean_squared_norms(start("acprop", 0.9, 0.9), problem, T, 0.5, 3, np.random.default_rng(1))
    for i, horizon in enumerate(T):
        one = mean_squared_norms(start("acprop", 0.9, 0.9), problem, T[i : i + 1], 0.5, 3, np.random.default_rng(1))
        np.testing.assert_allclose(both[i], one[0], rtol=1e-12)
        x, noise, total = np.tile(problem.start, (3, 1)), np.random.default_rng(1), 0.0
        rule, width = start("acprop", 0.9, 0.9), problem.sigma * math.sqrt(3)
        for _ in range(horizon):
            g = problem.gradient(x)
            total = total + (g**2).sum(-1)
            x = x - 0.5 / math.sqrt(horizon) * rule.send(g + noise.uniform(-width, width, x.shape))
        np.testing.assert_allclose(one[0], total / horizon, rtol=1e-12)


@pytest.mark.parametrize(("name", "delay"), [("rmsprop", 0), ("adashift", 0), ("acprop", 1)])
def test_denominator_is_what_the_gradient_is_divided_by(name, delay, configure):
    """For optimizers whose numerator is the gradient: lr * g / step, of the same step or the next."""
    more = ["optimizer.keep_num=1", "optimizer.variant=paper"] if name == "adashift" else []
    cfg = configure("theory", "study=fig5", f"optimizer={name}", "optimizer.lr=0.01", *more)
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = build("optimizer", cfg.optimizer, [x])
    random, seen, divided = np.random.default_rng(0), [], []
    for _ in range(30):
        g, before = random.normal(), x.item()
        x.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        seen.append(denominator(optimizer))
        divided.append(0.01 * g / (before - x.item()) if before != x.item() else math.nan)
    for index in range(5, 29):
        assert divided[index + delay] == pytest.approx(seen[index], rel=1e-4)


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_from_config_to_report(study, configure):
    more = ["study.seeds=4"] if study.startswith("rate") else ["study.columns=[25,50]"] if study == "cost" else []
    cfg = configure("theory", f"study={study}", "scale=smoke", "tracking=none", *more)
    run(cfg)
    (record,) = load_records("theory")
    assert record.status == "done"
    assert (record.path / "metrics.jsonl").read_text().count("\n") > 2
    written = set(refresh("theory"))
    assert written
    files = [path for folder in ("figures", "tables") for path in (results_root() / folder).glob("*")]
    assert {path.stem for path in files} == written
    for path in files:
        assert path.stem.endswith("_smoke")
        assert path.stat().st_size > 100


def test_from_the_command_line(command, tmp_path):
    done = command("-m", "experiments.theory", "-m", "study=fig2,fig4", "scale=smoke")
    assert done.returncode == 0, done.stderr
    assert {record.summary["model"] for record in load_records("theory")} == {"fig2", "fig4"}
    assert (results_root() / "figures" / "fig2_smoke.png").exists()
    assert list((tmp_path / "runs").rglob("*.wandb"))
    again = command("-m", "experiments.theory", "-m", "study=fig2,fig4", "scale=smoke")
    assert "2 runs are finished already" in again.stdout
    wrong = command("-m", "experiments.theory", "study=fig2", "study.optimizers=[adamm]")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "study.optimizers=['adamm']" in wrong.stderr
