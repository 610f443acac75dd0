"""Fig 6 and its relatives: CNNs on 32x32 images. `python -m experiments.cifar --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from acprop.runs.settings import check  # torch loads only when something runs
    from experiments.cifar.settings import SETTINGS
    from experiments.images.train import train

    check(cfg, SETTINGS)
    return train(cfg)


if __name__ == "__main__":
    launch("cifar", run, refresh)
