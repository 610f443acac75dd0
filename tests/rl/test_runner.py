"""The RL runner as a user starts it: every environment and agent of conf/, real Stable-Baselines3, real records."""

import importlib.util
import json

import numpy as np
import pytest
import torch
import yaml

from acprop.runs import UsageError, conf, load_records
from acprop.runs.launch import CONF, build
from experiments.rl import planning
from experiments.rl.environments import Environment, evaluate
from experiments.rl.four_rooms import Rooms
from experiments.rl.train import EVALUATION_SEED, make_agent, train

ENVIRONMENTS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((CONF / "dataset").glob("*.yaml"))
    if "experiments.rl.environments" in path.read_text()
}
SMOKE = ("scale=smoke", "tuned=none", "tracking=none", "eval_episodes=4", "steps=600", "eval_every=300")


def lines(record, split):
    entries = [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]
    return [entry for entry in entries if entry["split"] == split]


def test_the_record_holds_what_a_reader_asks_for(configure):
    train(configure("rl", *SMOKE, "tracking.mode=disabled", "optimizer.lr=1e-3"))
    (record,) = load_records("rl")
    assert record.status == "done"
    assert record.summary["steps"] == 600
    assert record.summary["samples_per_s"] > 0
    assert {entry["step"] for entry in lines(record, "eval")} == {0, 300, 600}
    last = {entry["metric"]: entry["value"] for entry in lines(record, "train") if entry["step"] == 600}
    assert last.keys() == {"return", "length", "loss", "epsilon", "update_ratio", "max_update_per_lr"}
    assert all(entry["lr"] == 1e-3 for entry in lines(record, "train"))
    assert record.summary["optimum"] == planning.optimal_return(Rooms(), 100)
    assert record.summary["final"]["policy/return"] <= record.summary["optimum"]
    policy = json.loads((record.path / "policy.json").read_text())
    greedy = np.array(policy["learnt_q"]).argmax(1)
    value = planning.policy_return(Rooms(), 100, lambda x: greedy[x.argmax(1)])
    assert value == pytest.approx(record.summary["final"]["policy/return"]), "the picture shows the measured policy"


def test_a_forced_run_takes_the_place_of_the_finished_one(configure):
    cell = (*SMOKE, "tracking.mode=disabled", "steps=300")
    score = train(configure("rl", *cell))
    (before,) = load_records("rl")
    mark = before.path / "of the first"
    mark.touch()
    assert train(configure("rl", *cell, "force=true")) == score
    (after,) = load_records("rl")
    assert after.path == before.path
    assert not mark.exists(), "another run"
    assert after.summary["final"] == before.summary["final"]


def test_update_telemetry_is_what_the_optimizer_did(configure):
    """SGD without momentum moves a weight by lr times its clipped gradient: the largest step over lr stays below the
    clip; and the ratio is that of the norms."""
    train(configure("rl", *SMOKE, "optimizer=sgd", "optimizer.lr=0.5", "model.max_grad_norm=1e-3"))
    (record,) = load_records("rl")
    last = {entry["metric"]: entry["value"] for entry in lines(record, "train") if entry["step"] == 600}
    assert 1e-4 < last["max_update_per_lr"] <= 1.001e-3
    state = torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]["agent"]["parameters"]["policy"]
    norm = sum(v.square().sum() for k, v in state.items() if k.startswith("q_net.")).sqrt().item()
    assert last["update_ratio"] <= 0.5 * 1.001e-3 / norm * 1.01


@pytest.mark.parametrize("model", ["dqn", "ppo", "sac"])
@pytest.mark.parametrize("name", [path.stem for path in sorted((CONF / "optimizer").glob("*.yaml"))])
def test_every_optimizer_reaches_every_agent_with_its_settings(name, model, configure):
    from stable_baselines3.common.vec_env import DummyVecEnv

    cfg = configure(
        "rl", f"model={model}", f"optimizer={name}", "optimizer.lr=0.0123", "tuned=none", "dataset=pendulum"
    )
    if model == "dqn":
        cfg = configure("rl", f"optimizer={name}", "optimizer.lr=0.0123", "tuned=none", "dataset=cartpole")
    environment = build("dataset", cfg.dataset)
    agent = make_agent(cfg, DummyVecEnv([environment.make]), torch.device("cpu"))
    optimizer = agent.actor.optimizer if model == "sac" else agent.policy.optimizer
    assert type(optimizer).__name__ == cfg.optimizer["_target_"].rsplit(".", 1)[1]
    for key, value in cfg.optimizer.items():
        if not key.startswith("_"):
            stored = optimizer.param_groups[0][key]
            assert (list(stored) if isinstance(stored, tuple | list) else stored) == value, key
    assert optimizer.param_groups[0]["lr"] == 0.0123


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_runs_or_names_what_is_missing(name, configure):
    model = "sac" if name == "pendulum" else "dqn"
    named = ["dataset.id=Acrobot-v1"] if name == "gymnasium" else []
    cfg = configure("rl", *SMOKE, f"dataset={name}", f"model={model}", "steps=220", "eval_every=220", *named)
    missing = {"gymnasium[box2d]": "Box2D", "minigrid": "minigrid"}.get(ENVIRONMENTS[name].get("extra"))
    if missing and importlib.util.find_spec(missing) is None:
        with pytest.raises(UsageError) as error:
            train(cfg)
        assert f'pip install "{ENVIRONMENTS[name]["extra"]}"' in str(error.value)
        assert "\n" not in str(error.value)
        assert not list(load_records("rl")), "nothing is left behind"
    else:
        train(cfg)
        (record,) = load_records("rl")
        assert record.status == "done"
        assert record.summary["final"]["eval/length"] >= 1


@pytest.mark.parametrize("observation", ["one_hot", "coordinates"])
@pytest.mark.parametrize("goal", ["[7,9]", "null"])
def test_every_form_of_four_rooms_trains(observation, goal, configure):
    settings = [f"dataset.options.observation={observation}", f"dataset.options.goal={goal}"]
    train(configure("rl", *SMOKE, *settings, "dataset.options.max_episode_steps=20"))
    (record,) = load_records("rl")
    assert record.summary["final"]["policy/return"] <= record.summary["optimum"]
    assert (record.path / "policy.json").exists() == (goal != "null")


def test_evaluation_leaves_training_alone_and_repeats(configure):
    """How often is evaluated changes no weight; the same seed gives the same episodes."""
    for every in (300, 100):
        train(configure("rl", *SMOKE, f"eval_every={every}"))
    often, seldom = sorted(load_records("rl"), key=lambda record: record.config["eval_every"])
    a, b = (torch.load(r.path / "checkpoint.pt", weights_only=True)["objects"]["agent"] for r in (often, seldom))
    for name, weight in a["parameters"]["policy"].items():
        assert torch.equal(weight, b["parameters"]["policy"][name]), name
    environment = Environment("experiments.rl.four_rooms:FourRooms-v0")
    act = lambda x: np.zeros(len(x), int)  # noqa: E731
    results = [evaluate(environment.make_many(20), act, seed) for seed in (EVALUATION_SEED, EVALUATION_SEED, 1)]
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("name", ["Acrobot-v1", "Pendulum-v1", "experiments.rl.four_rooms:FourRooms-v0"])
def test_runs_of_neighbouring_seeds_are_judged_from_other_starts(name):
    """A vector of environments seeded with n gives its second what one seeded with n + 1 gives its first."""

    def starts(seed):
        seen = []

        def act(observations):
            seen.append(observations.copy())
            return np.stack([space.sample() for space in [envs.single_action_space] * envs.num_envs])

        envs = Environment(id=name).make_many(100)
        evaluate(envs, act, seed)
        return [tuple(one.ravel()) for one in seen[0]]

    first, second = starts(10), starts(11)
    alike = sum(a == b for a, b in zip(first[1:], second, strict=False))
    assert alike < 20, "of 99; in four-rooms a start is one of about a hundred cells"


def test_an_evaluation_counts_one_episode_of_each_environment():
    environment = Environment("CartPole-v1", {"max_episode_steps": 7})
    mean_return, length = evaluate(environment.make_many(3), lambda x: (x[:, 2] > 0).astype(int), seed=0)
    assert (mean_return, length) == (7.0, 7.0)


def test_a_run_that_diverges_is_recorded(configure):
    train(configure("rl", *SMOKE, "optimizer=sgd", "optimizer.lr=1e30", "model.max_grad_norm=1e30", "steps=900"))
    (record,) = load_records("rl")
    assert record.status == "diverged"
    assert "loss" in record.summary["error"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["steps=0"], "steps=0"),
        (["eval_every=x"], "eval_every='x'"),
        (["optimizer.eps=-1"], "eps=-1"),
        (["dataset=gymnasium", "dataset.id=NoSuch-v0"], "NoSuch"),
        (["dataset.options.goal=[0,0]"], "goal"),
        (["+dataset.options.colour=red"], "colour"),
        (["model=sac"], "model=sac, dataset=four_rooms"),
    ],
)
def test_a_bad_value_is_one_line_and_leaves_nothing(settings, words, configure):
    with pytest.raises(UsageError) as error:
        train(configure("rl", *SMOKE, *settings))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(load_records("rl"))


def test_on_the_command_line_a_mistake_is_one_line_and_exit_code_2(command):
    done = command("-m", "experiments.rl", "model=ppo")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "no settings under four_rooms for model=ppo" in done.stderr
    assert "tuned=none" in done.stderr


def test_what_runs_in_fig9_is_a_setting_that_the_sweep_tries(configure):
    tried = {}  # optimizer -> settings, as the protocol lists them
    for grid in conf.protocols()["four_rooms"]["grids"]:
        for one in conf.every(grid):
            settings = {key.removeprefix("optimizer."): value for key, value in one.items() if key != "optimizer"}
            tried.setdefault(one["optimizer"], []).append(settings)
    assert {len(settings) for settings in tried.values()} == {35}, "as many for each"
    cells = {path.stem: path for path in (CONF / "rl" / "tuned" / "four_rooms" / "dqn").glob("*.yaml")}
    assert set(cells) == set(tried) == set(conf.roster("fig9"))
    for name, path in cells.items():
        assert yaml.safe_load(path.read_text())["tuned"]["source"]
        optimizer = configure("rl", f"optimizer={name}").optimizer
        assert any(settings.items() <= dict(optimizer).items() for settings in tried[name]), name
