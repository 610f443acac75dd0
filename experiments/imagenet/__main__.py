"""Table 2: ResNet-18 on ImageNet, or on any folder of images. `python -m experiments.imagenet --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from acprop.runs.settings import check  # torch loads only when something runs
    from experiments.imagenet.settings import SETTINGS
    from experiments.images.train import train

    check(cfg, SETTINGS)
    return train(cfg)


if __name__ == "__main__":
    launch("imagenet", run, refresh)
