"""Everything the paper shows about convergence, drawn exactly. `python -m experiments.theory --help`"""

from omegaconf import DictConfig

from acprop.report.refresh import refresh
from acprop.runs.launch import launch


def run(cfg: DictConfig) -> None:
    from hydra.utils import instantiate

    from acprop.runs import Run
    from acprop.runs.settings import check
    from experiments.theory.settings import SETTINGS

    check(cfg, SETTINGS)
    with Run.open(cfg) as run:
        if not run.finished:
            instantiate(cfg.study)(run)


if __name__ == "__main__":
    launch("theory", run, refresh)
