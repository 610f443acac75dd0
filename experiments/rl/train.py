"""Reinforcement learning with Stable-Baselines3, which owns the loop; a callback keeps the record.

Read `train` from top to bottom: environments, agent, evaluation, learning.
"""

import math
import sys
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv
from tqdm import tqdm

from acprop.runs import Run, UsageError, require, runs_root
from acprop.runs.launch import build
from acprop.runs.record import Record, write_json
from experiments.rl import planning
from experiments.rl.agent_state import AgentState
from experiments.rl.environments import Environment, evaluate
from experiments.rl.four_rooms import FREE, LAYOUT, MOVES, Rooms
from experiments.rl.score import mean_over_training

EVALUATION_SEED = 1_000_000  # plus the run's: the same starts and slips at each evaluation, none of those in training


def train(cfg: DictConfig) -> float | None:
    """Trains one agent and leaves its record. Returns its score, the mean return over training, or None if it
    diverged."""
    for name in ("steps", "eval_every", "eval_episodes", "num_envs"):
        require(isinstance(cfg[name], int) and cfg[name] > 0, name, cfg[name], "a whole number > 0")

    with Run.open(cfg, select=("eval/return", "max")) as run:
        if not run.finished:
            learn(cfg, run)
    # only now the record lies where it is looked for: one that replaces another is made beside it
    record = Record(runs_root(), run.dir.relative_to(runs_root()).as_posix())
    return None if record.status == "diverged" else mean_over_training(record.curve("eval", "return", over="step"))


def learn(cfg: DictConfig, run: Run) -> None:
    environment: Environment = build("dataset", cfg.dataset)
    envs = DummyVecEnv([environment.make for _ in range(cfg.num_envs)])
    model: Any = make_agent(cfg, envs, run.device)
    callback = Recorder(cfg, run, environment)
    optimizer = first_optimizer(model)
    run.describe(parameters=sum(p.numel() for group in optimizer.param_groups for p in group["params"]))
    rooms: Rooms | None = getattr(envs.envs[0].unwrapped, "rooms", None)
    horizon = envs.get_attr("spec")[0].max_episode_steps
    if rooms:
        run.describe(optimum=planning.optimal_return(rooms, horizon))
    run.register(agent=AgentState(model, envs), callback=callback, optimizer=optimizer)
    model.learn(cfg.steps - model.num_timesteps, callback, log_interval=None, reset_num_timesteps=False)
    if rooms:
        leave_policy(run, model, rooms, horizon)


def make_agent(cfg: DictConfig, envs: DummyVecEnv, device: torch.device) -> BaseAlgorithm:
    """SB3's agent of `cfg.model` with the optimizer of `cfg.optimizer`."""
    build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])  # what it refuses is said here, in one line
    optimizer = instantiate(cfg.optimizer, _convert_="all")
    policy_kwargs = {
        **instantiate(cfg.model).keywords["policy_kwargs"],
        "optimizer_class": optimizer.func,
        "optimizer_kwargs": {key: value for key, value in optimizer.keywords.items() if key != "lr"},
    }
    try:
        # SB3 hands its own learning rate to the optimizer, and sets it again before each update
        return build(
            "model", cfg.model, env=envs, learning_rate=cfg.optimizer.lr, policy_kwargs=policy_kwargs, seed=cfg.seed,
            device=device,
        )  # fmt: skip
    except AssertionError as error:  # SB3's way to refuse an action space
        raise UsageError(f"model={cfg.names.model}, dataset={cfg.names.dataset}: {error}") from error


class Recorder(BaseCallback):
    """Every `eval_every` environment steps: what training was like since the last time, and an evaluation. Between two
    rollouts, where SB3's loop holds nothing in its hands, the run may be saved or stopped."""

    def __init__(self, cfg: DictConfig, run: Run, environment: Environment) -> None:
        super().__init__()
        self.run, self.every, self.seed = run, cfg.eval_every, EVALUATION_SEED + cfg.seed
        self.evaluation_envs = environment.make_many(cfg.eval_episodes)
        self.due = 0
        self.losses: dict[str, list[float]] = {}  # name -> sum, count since the last record
        self.updates = [0.0, 0.0, 0]  # likewise: sum of |step|, largest step of one weight, count
        self.bar = tqdm(total=cfg.steps, unit="step", disable=not sys.stderr.isatty(), leave=False)

    def state_dict(self) -> dict[str, Any]:
        return {"due": self.due, "losses": self.losses, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.due, self.losses, self.updates = state["due"], state["losses"], state["updates"]

    def _on_training_start(self) -> None:
        optimizer = first_optimizer(self.model)
        weights = [p.detach().view(-1) for group in optimizer.param_groups for p in group["params"]]  # views
        before, after, change = (torch.cat(weights) for _ in range(3))  # memory is taken once: this runs every update

        def measure(*_: Any) -> None:
            nonlocal before, after
            torch.cat(weights, out=after)
            torch.sub(after, before, out=change)
            before, after = after, before
            low, high = change.aminmax()
            updates = self.updates
            updates[0] += math.sqrt(change.dot(change))
            updates[1] = max(updates[1], high.item(), -low.item())
            updates[2] += 1

        optimizer.register_step_post_hook(measure)

    def _on_rollout_start(self) -> None:
        self._gather_losses()
        if self.model.num_timesteps >= self.due:
            self._record()
        self.run.advance(self.model.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._gather_losses()
        self._record()
        self.bar.close()

    def _gather_losses(self) -> None:
        for key in [key for key in self.logger.name_to_value if key.endswith("loss")]:
            total = self.losses.setdefault(key.removeprefix("train/"), [0.0, 0])
            total[0] += float(self.logger.name_to_value.pop(key))
            total[1] += 1

    def _record(self) -> None:
        model: Any = self.model
        self.run.step = step = model.num_timesteps
        self.run.samples = step - model._num_timesteps_at_start
        values = {name: total / count for name, (total, count) in self.losses.items()}
        for name, value in values.items():
            self.run.require_finite(name, value)
        if episodes := model.ep_info_buffer:  # SB3's window: the last 100 episodes
            values["return"] = sum(episode["r"] for episode in episodes) / len(episodes)
            values["length"] = sum(episode["l"] for episode in episodes) / len(episodes)
        if hasattr(model, "exploration_rate"):
            values["epsilon"] = model.exploration_rate
        total, largest, count = self.updates
        if count:
            (group,) = first_optimizer(model).param_groups
            weights, rate = torch.nn.utils.get_total_norm(group["params"]).item(), group["lr"]
            values["update_ratio"] = total / count / weights
            values["max_update_per_lr"] = largest / rate if rate else 0.0
        if values:
            self.run.log("train", **values)
        mean_return, length = evaluate(self.evaluation_envs, lambda x: act(model, x), self.seed)
        self.run.log("eval", **{"return": mean_return, "length": length})
        self.losses, self.updates = {}, [0.0, 0.0, 0]
        self.due = step - step % self.every + self.every
        self.bar.update(step - self.bar.n)
        message = f"step {step}/{self.bar.total}: evaluation return {mean_return:.3f}, length {length:.1f}"
        self.bar.set_postfix_str(message) if not self.bar.disable else print(message, flush=True)


def first_optimizer(model: BaseAlgorithm) -> torch.optim.Optimizer:
    """The agent's optimizer; of several the actor's."""
    names, _ = model._get_torch_save_params()
    return attrgetter(next(name for name in names if name.endswith("optimizer")))(model)


def act(model: BaseAlgorithm, observations: NDArray) -> NDArray:
    """The agent's deterministic choice."""
    return model.predict(observations, deterministic=True)[0]


def leave_policy(run: Run, model: BaseAlgorithm, rooms: Rooms, horizon: int) -> None:
    """What a four-rooms agent has learnt: its exact expected return, in the record; with a fixed goal also its choice
    and value in each cell, beside the best, in policy.json."""
    run.log("policy", **{"return": planning.policy_return(rooms, horizon, lambda x: act(model, x))})
    if rooms.fixed_goal is None or not isinstance(model, DQN):
        return
    best = planning.optimal_values(rooms, rooms.fixed_goal, model.gamma)
    observations = torch.as_tensor(rooms.observe(np.arange(len(FREE)), rooms.fixed_goal), device=model.device)
    with torch.no_grad():
        learnt = model.q_net(observations).cpu().numpy()
    write_json(
        run.dir / "policy.json",
        {
            "layout": LAYOUT, "moves": list(MOVES.values()), "cells": FREE, "goal": FREE[rooms.fixed_goal],
            "discount": model.gamma, "optimal_q": best.round(6).tolist(), "learnt_q": learnt.round(6).tolist(),
        },
    )  # fmt: skip
