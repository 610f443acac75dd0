"""What a Stable-Baselines3 agent needs to go on as if nothing had happened, as tensors and plain values.

SB3's own `save` pickles objects, leaves out the replay buffer and the environment, and starts a new episode on loading.
"""

from collections import deque
from operator import attrgetter
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from experiments.rl.environments import Replayable, generator_state, set_generator_state

# The counters and loop variables of DQN, SAC and PPO; an algorithm has some of them.
COUNTERS = (
    "num_timesteps", "_n_calls", "_n_updates", "_episode_num", "exploration_rate", "_current_progress_remaining",
)  # fmt: skip
LAST = ("_last_obs", "_last_episode_starts")
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class AgentState:
    """Saves and restores `model` and its environments at the start of a rollout; an object for `Run.register`."""

    def __init__(self, model: BaseAlgorithm, envs: DummyVecEnv) -> None:
        self.model, self.envs = model, cast(list[Replayable], envs.envs)

    def state_dict(self) -> dict[str, Any]:
        model = self.model
        _, tensors = model._get_torch_save_params()
        return {
            "parameters": model.get_parameters(),
            "tensors": {name: attrgetter(name)(model).detach().clone() for name in tensors},
            "counters": {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)},
            "last": {name: _tensor(getattr(model, name, None)) for name in LAST},
            "episodes": [{"r": float(e["r"]), "l": int(e["l"])} for e in model.ep_info_buffer or ()],
            "action_space": generator_state(model.action_space.np_random),
            "envs": [env.state_dict() for env in self.envs],
            "replay_buffer": self._buffer_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        model = self.model
        model.set_parameters(state["parameters"])
        with torch.no_grad():
            for name, value in state["tensors"].items():
                attrgetter(name)(model).copy_(value)
        for name, value in state["counters"].items():
            setattr(model, name, value)
        for name, value in state["last"].items():
            if value is not None:
                setattr(model, name, value.numpy())
        model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)  # feeds SB3's own log alone, which is off
        set_generator_state(model.action_space.np_random, state["action_space"])
        for env, saved in zip(self.envs, state["envs"], strict=True):
            env.load_state_dict(saved)
        if state["replay_buffer"]:
            self._load_buffer(state["replay_buffer"])

    def _buffer_state(self) -> dict[str, Any] | None:
        buffer = getattr(self.model, "replay_buffer", None)
        if buffer is None:
            return None
        arrays = {name: _tensor(getattr(buffer, name)[: buffer.size()]) for name in BUFFER}
        return {"arrays": arrays, "pos": buffer.pos, "full": buffer.full}

    def _load_buffer(self, state: dict[str, Any]) -> None:
        buffer: ReplayBuffer = self.model.replay_buffer  # type: ignore[attr-defined]
        buffer.pos, buffer.full = state["pos"], state["full"]
        for name, saved in state["arrays"].items():
            getattr(buffer, name)[: len(saved)] = saved.numpy()


def _tensor(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(np.array(array))  # a copy: SB3 goes on writing to the array
