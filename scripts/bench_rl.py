"""What the suite costs beside plain Stable-Baselines3: the same DQN, settings, environment, steps and evaluation
episodes, whole runs in turns, the ratio of each pair.

    python scripts/bench_rl.py [--steps 16000] [--pairs 5]

The suite's run is all that `python -m experiments.rl` does between its start and its end: record, callback, telemetry
of updates, wandb (offline), checkpoint. Plain has SB3's agent, its Monitor, and a callback that evaluates. CPU time is
this process's, which a busy machine distorts little; what wandb's own process does beside it is in the wall time alone.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import torch
from omegaconf import DictConfig
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop.runs.compose import composed
from acprop.runs.launch import build
from experiments.rl.environments import evaluate
from experiments.rl.train import act, make_agent, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACPROP_RUNS"] = folder
        pairs: list[tuple[float, ...]] = []
        for pair in range(-1, arguments.pairs):  # the first warms up
            steps = arguments.steps if pair >= 0 else 2000
            cfg = composed("rl", f"steps={steps}", f"seed={max(pair, 0)}", "force=true")
            (cpu, wall), (suite_cpu, suite_wall) = timed(plain, cfg), timed(train, cfg)
            if pair >= 0:
                pairs.append((cpu, wall, suite_cpu, suite_wall))
                print(
                    f"pair {pair}: CPU {cpu:.2f} s plain, {suite_cpu:.2f} s suite; wall {wall:.2f}, {suite_wall:.2f} s"
                )
    for name, bare, suite in (("CPU", 0, 2), ("wall", 1, 3)):
        middle = median(pair[suite] / pair[bare] for pair in pairs)
        least = min(pair[suite] for pair in pairs) / min(pair[bare] for pair in pairs)
        print(f"suite / plain, {name}: median of {len(pairs)} pairs {middle:.3f}; fastest against fastest {least:.3f}")


def timed(run: Callable[[DictConfig], object], cfg: DictConfig) -> tuple[float, float]:
    """(CPU, wall) seconds."""
    torch.set_num_threads(cfg.threads)
    cpu, wall = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        run(cfg)
    return time.process_time() - cpu, time.perf_counter() - wall


def plain(cfg: DictConfig) -> None:
    def make() -> gymnasium.Env:
        return Monitor(gymnasium.make(cfg.dataset.id, disable_env_checker=True, **cfg.dataset.options))

    model: Any = make_agent(cfg, DummyVecEnv([make]), torch.device("cpu"))
    model.learn(cfg.steps, Evaluate(cfg), log_interval=None)


class Evaluate(BaseCallback):
    def __init__(self, cfg: DictConfig) -> None:
        super().__init__()
        self.every, self.envs = cfg.eval_every, build("dataset", cfg.dataset).make_many(cfg.eval_episodes)

    def _on_training_start(self) -> None:
        self._evaluate()

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            self._evaluate()
        return True

    def _evaluate(self) -> None:
        evaluate(self.envs, lambda x: act(self.model, x), seed=0)


if __name__ == "__main__":
    main()
