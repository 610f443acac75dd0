"""Table 3: translation with fairseq's Transformer. `python -m experiments.transformer --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> float | None:
    from experiments.transformer.child import require_packages

    require_packages()
    from experiments.transformer.translate import train  # torch loads only when something runs

    return train(cfg)


if __name__ == "__main__":
    launch("transformer", run, refresh)
