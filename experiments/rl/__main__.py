"""Fig 9 and its relatives: DQN on four-rooms. `python -m experiments.rl --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from experiments.rl.train import train  # torch loads only when something runs

    return train(cfg)


if __name__ == "__main__":
    launch("rl", run, refresh)
