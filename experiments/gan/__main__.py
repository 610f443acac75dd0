"""Table 4: GANs on 32x32 images, judged by FID. `python -m experiments.gan --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from experiments.gan.train import train  # torch loads only when something runs

    return train(cfg)


if __name__ == "__main__":
    launch("gan", run, refresh)
