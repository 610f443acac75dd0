"""What the settings of a classifier of image files may be."""

from omegaconf import DictConfig

from acprop.runs import require
from acprop.runs.settings import Settings, optional, whole
from experiments.images.settings import IMAGES, SIZE, try_parts


def relations(cfg: DictConfig) -> None:
    require(cfg.resize >= cfg.image_size, "resize", cfg.resize, f"at least image_size={cfg.image_size}")
    try_parts(cfg)


SETTINGS = Settings(
    {**IMAGES, "image_size": SIZE, "resize": SIZE, "workers": optional(whole(0, 1024), "one a core")}, relations
)
