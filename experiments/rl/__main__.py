"""Fig 9 and its relatives: DQN on four-rooms. `python -m experiments.rl --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from acprop.runs.settings import check  # torch loads only when something runs
    from experiments.rl.settings import SETTINGS
    from experiments.rl.train import train

    check(cfg, SETTINGS)
    return train(cfg)


if __name__ == "__main__":
    launch("rl", run, refresh)
