"""Gymnasium environments by name: made for training, made in numbers for evaluation, and restored in mid-episode."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from hydra.utils import get_class
from stable_baselines3.common.monitor import Monitor

from acprop.runs import UsageError


class Environment:
    """A registered environment with its settings.

    Args:
        id: its Gymnasium name, `module:Name-v0` where a module registers it.
        options: keywords for `gymnasium.make`.
        wrappers: dotted names of wrapper classes, innermost first.
        extra: what to install with pip if it is missing.
    """

    def __init__(
        self, id: str, options: dict[str, Any] | None = None, wrappers: Sequence[str] = (), extra: str | None = None
    ) -> None:
        self.id, self.wrappers, self.extra = id, wrappers, extra
        self.options = dict(options or {})

    def make(self) -> "Replayable":
        """One environment, which reports each episode's return and length."""
        # the tests check an environment; a run need not pay for it
        env = self._make(lambda: self._wrap(gymnasium.make(self.id, disable_env_checker=True, **self.options)))
        return Replayable(Monitor(env))

    def make_many(self, count: int) -> gymnasium.vector.VectorEnv:
        """`count` of them side by side: in the environment's own vectorised form if it has one."""
        wrappers = [self._wrap] if self.wrappers else []
        return self._make(lambda: gymnasium.make_vec(self.id, count, wrappers=wrappers, **self.options))

    def _wrap(self, env: Any) -> Any:
        for name in self.wrappers:
            env = get_class(name)(env)
        return env

    def _make(self, make: Any) -> Any:
        try:
            return make()
        except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
            remedy = f'pip install "{self.extra}"' if self.extra else "install it"
            raise UsageError(f"dataset.id={self.id}: a package that it needs is missing; {remedy}") from error
        except (gymnasium.error.Error, TypeError, ValueError) as error:
            raise UsageError(f"dataset.id={self.id}: {' '.join(str(error).split())}") from error


class Replayable(gymnasium.Wrapper):
    """Saves any environment in mid-episode as what led there: the generator's state before the reset, and the actions
    since. Restoring plays them again, which asks of the environment only that all its randomness comes from
    `np_random`, as Gymnasium wants."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.unwrapped.np_random, _ = gymnasium.utils.seeding.np_random(seed)
        self.start = generator_state(self.unwrapped.np_random)
        self.actions: list[Any] = []
        return super().reset(options=options)

    def step(self, action: Any) -> Any:
        self.actions.append(action)
        return super().step(action)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start, "actions": torch.from_numpy(np.array(self.actions))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        set_generator_state(self.unwrapped.np_random, state["start"])
        self.reset()
        for action in state["actions"].numpy():
            self.step(action)


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a PCG64 generator (Gymnasium's), as plain numbers and strings."""
    state = generator.bit_generator.state
    return {**state, "state": {name: str(value) for name, value in state["state"].items()}}  # 128 bits each


def set_generator_state(generator: np.random.Generator, state: dict[str, Any]) -> None:
    generator.bit_generator.state = {**state, "state": {name: int(value) for name, value in state["state"].items()}}


def evaluate(envs: gymnasium.vector.VectorEnv, act: Any, seed: int) -> tuple[float, float]:
    """(mean return, mean length) of one episode in each of `envs`, from starts and slips that `seed` fixes.

    Args:
        act: observations (n, ...) -> actions (n, ...).
    """
    # some vectors seed their n-th environment with seed + n: neighbouring runs would share all their starts but one
    (far_apart,) = np.random.SeedSequence(seed).generate_state(1)
    observations, _ = envs.reset(seed=int(far_apart))
    returns, lengths = np.zeros(envs.num_envs), np.zeros(envs.num_envs)
    running = np.ones(envs.num_envs, bool)
    while running.any():
        observations, rewards, terminated, truncated, _ = envs.step(act(observations))
        returns += rewards * running
        lengths += running
        running &= ~(terminated | truncated)
    return float(returns.mean()), float(lengths.mean())
