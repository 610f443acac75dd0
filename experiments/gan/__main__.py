"""Table 4: GANs on 32x32 images, judged by FID. `python -m experiments.gan --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from acprop.runs.settings import check  # torch loads only when something runs
    from experiments.gan.settings import SETTINGS
    from experiments.gan.train import train

    check(cfg, SETTINGS)
    return train(cfg)


if __name__ == "__main__":
    launch("gan", run, refresh)
