"""What the settings of an agent may be, those that Stable-Baselines3 gets included."""

import torch
from omegaconf import DictConfig
from stable_baselines3.common.base_class import BaseAlgorithm

from acprop.runs import require
from acprop.runs.launch import build
from acprop.runs.settings import (
    OPTIMIZER,
    Rule,
    Rules,
    Settings,
    component,
    either,
    flag,
    list_of,
    number,
    one_of,
    optional,
    plain,
    text,
    whole,
)  # fmt: skip
from experiments.rl.environments import Environment

SHARE = number(0, 1)
LAYERS = list_of(whole(1, 100_000), least=0, most=100)
NETS = Rule(
    lambda x: (
        LAYERS.holds(x) or (isinstance(x, dict) and set(x) <= {"pi", "vf", "qf"} and all(map(LAYERS.holds, x.values())))
    ),
    "a list of layer sizes, e.g. [64, 64], or one each for pi and vf, or pi and qf",
)


def policy_kwargs(argument: str, value: object, config: object) -> None:
    require(isinstance(value, dict), argument, value, "e.g. {net_arch: [64, 64]}")
    assert isinstance(value, dict)
    for key, item in value.items():
        rule = {"net_arch": NETS, "ortho_init": flag, "normalize_images": flag}.get(key)
        allowed = "choose of net_arch, ortho_init, normalize_images"
        require(rule is not None, f"{argument}.{key}", item, allowed)
        assert rule
        require(rule.holds(item), f"{argument}.{key}", item, rule.allowed)


MODEL: Rules = {
    "policy": one_of("MlpPolicy", "CnnPolicy", "MultiInputPolicy"),
    "policy_kwargs": policy_kwargs,
    "gamma": SHARE,
    "batch_size": whole(1, 10_000_000),
    "buffer_size": whole(1, 100_000_000),
    "learning_starts": whole(0),
    "train_freq": either(
        whole(),
        Rule(
            lambda x: isinstance(x, list) and len(x) == 2 and whole().holds(x[0]) and x[1] in ("step", "episode"),
            "e.g. [1, episode]",
        ),
    ),
    "gradient_steps": either(whole(), one_of(-1)),
    "target_update_interval": whole(),
    "tau": SHARE,
    "exploration_fraction": SHARE,
    "exploration_initial_eps": SHARE,
    "exploration_final_eps": SHARE,
    "max_grad_norm": number(0, open_=True),
    "n_steps": whole(1, 10_000_000),
    "n_epochs": whole(1, 100_000),
    "gae_lambda": SHARE,
    "clip_range": SHARE,
    "clip_range_vf": optional(SHARE),
    "ent_coef": either(number(), Rule(lambda x: isinstance(x, str) and x.startswith("auto"), "auto or auto_0.1")),
    "vf_coef": number(0),
    "target_entropy": either(number(), one_of("auto")),
    "optimize_memory_usage": flag,
    "use_sde": flag,
    "normalize_advantage": flag,
}
ENVIRONMENT: Rules = {
    "id": text,
    "options": Rule(lambda x: isinstance(x, dict) and plain.holds(x), "keywords for gymnasium.make"),
    "wrappers": list_of(text, least=0),
    "extra": optional(text),
}
GIVEN = ("env", "learning_rate", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model")


def relations(cfg: DictConfig) -> None:
    model = cfg.model
    if "exploration_final_eps" in model:
        start, end = model.exploration_initial_eps, model.exploration_final_eps
        require(end <= start, "model.exploration_final_eps", end, f"at most exploration_initial_eps={start}")
    if "n_steps" in model:
        rollout = model.n_steps * cfg.num_envs
        require(rollout > 1, "model.n_steps", model.n_steps, f"more than 1 step over num_envs={cfg.num_envs}")
        require(
            model.batch_size > 1, "model.batch_size", model.batch_size, "more than 1: its advantages are normalised"
        )
    one_step = isinstance(model.get("train_freq", 1), int) or cfg.num_envs == 1
    require(one_step, "model.train_freq", model.get("train_freq"), "episodes with num_envs=1 alone; a number of steps")
    build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])


SETTINGS = Settings(
    {
        "dataset": component(ENVIRONMENT, Environment, "it is no environment; cartpole is"),
        "model": component(MODEL, BaseAlgorithm, "it is no agent; dqn is", given=GIVEN),
        "optimizer": component(OPTIMIZER, torch.optim.Optimizer, "adam is one"),
        "steps": whole(),
        "eval_every": whole(),
        "eval_episodes": whole(1, 1_000_000),
        "num_envs": whole(1, 4096),
    },
    relations,
)
