"""What the settings of a GAN may be."""

from pathlib import Path

import torch
from omegaconf import DictConfig

from acprop.runs import UsageError, require
from acprop.runs.environment import PRECISIONS, pick_device, require_precision
from acprop.runs.launch import build
from acprop.runs.settings import (
    OPTIMIZER,
    Rules,
    Settings,
    anything,
    component,
    flag,
    name,
    number,
    one_of,
    optional,
    text,
    whole,
)  # fmt: skip
from experiments.gan.fid import read_weights
from experiments.gan.losses import LOSSES
from experiments.gan.models import GAN
from experiments.images.data import ImageData
from experiments.images.settings import CLASSIFIER, COMPILE, SHARE, WIDTH, try_parts

MODEL: Rules = {
    "width": WIDTH,
    "z_dim": whole(1, 100_000),
    "conditional": flag,
    "loss": one_of(*LOSSES),
    "d_steps": whole(1, 1000),
}
RULES: Rules = {
    "dataset": component({}, ImageData, "it holds no images in memory; digits does"),
    "model": component(MODEL, GAN, "it is no GAN; dcgan is", given=("num_classes", "in_channels")),
    "optimizer": component(OPTIMIZER, torch.optim.Optimizer, "adam is one"),
    "steps": whole(),
    "batch_size": whole(1, 1_000_000),
    "width": WIDTH,
    "lr": number(0),
    "precision": one_of(*PRECISIONS),
    "compile": COMPILE,
    "mirror": flag,
    "held_out": SHARE,
    "channels_last": flag,
    "ema": optional(number(0, 1, open_=True)),
    "fid_network": one_of("inception", "classifier"),
    "fid_weights": optional(text, "the published file"),
    "fid_dims": one_of(64, 192, 768, 2048),
    "fid_count": whole(2, 10_000_000),
    "fid_reference": one_of("test", "train"),
    "fid_mode": one_of("eval", "train"),
    "fid_every": whole(),
    "fid_batch_size": whole(1, 1_000_000),
    "collapse": optional(number(0), "never"),
    **dict.fromkeys(("inception_for", "collapse_above", "classifier_epochs"), anything),  # they feed others
    "classifier.names.model": name,
    "classifier.names.optimizer": name,
    **{f"classifier.{key}": rule for key, rule in CLASSIFIER.items()},
}


def relations(cfg: DictConfig) -> None:
    require(cfg.steps % cfg.fid_every == 0, "steps", cfg.steps, f"a multiple of fid_every={cfg.fid_every}")
    if cfg.fid_weights:
        if not Path(cfg.fid_weights).is_file():
            raise UsageError(f"fid_weights={cfg.fid_weights!r}: there is no such file; null takes the published one")
        if cfg.fid_network == "inception":
            read_weights(Path(cfg.fid_weights))
    with torch.device("meta"):
        build("model", cfg.model, num_classes=10, in_channels=3)
    build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])
    require_precision(cfg.precision, pick_device(cfg.device))
    try_parts(cfg.classifier)


SETTINGS = Settings(RULES, relations)
