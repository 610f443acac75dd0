"""Fig 9 and its relatives: DQN on four-rooms. `python -m experiments.rl --help`"""

from omegaconf import DictConfig

from acprop.runs.launch import launch


def run(cfg: DictConfig) -> None:
    from experiments.rl.train import train  # torch loads only when something runs

    train(cfg)


def report() -> None:
    from experiments.rl.report import write_all

    write_all()


if __name__ == "__main__":
    launch("rl", run, report)
