"""A config as a command line would compose it, in a process that Hydra does not run."""

import warnings

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from acprop.runs.conf import CONF

# conf/hydra names its files as the plugins name their schemas, to be checked against them. Said on import: a launcher's
# worker composes too.
warnings.filterwarnings("ignore", r"\s*'hydra/(launcher|sweeper)/\w+' is validated against ConfigStore schema")


def composed(task: str, *overrides: str) -> DictConfig:
    """conf/<task>.yaml under these overrides, Hydra's own part included.

    Raises:
        HydraException, OmegaConfBaseException: there are no such settings.
    """
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(task, overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg
