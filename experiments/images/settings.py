"""What the settings of a task that classifies images may be."""

import torch
from omegaconf import DictConfig
from torch import nn

from acprop.runs.environment import PRECISIONS, pick_device, require_precision
from acprop.runs.launch import build
from acprop.runs.settings import (
    OPTIMIZER,
    Rule,
    Rules,
    component,
    flag,
    list_of,
    number,
    one_of,
    optional,
    text,
    whole,
)  # fmt: skip
from experiments.images.data import Images

SIZE = whole(32, 4096)  # pixels
SHARE = Rule(lambda x: number(0, 1).holds(x) and x < 1, "a share of the training images, >= 0 and < 1")
WIDTH = Rule(lambda x: number(0, 8).holds(x) and x > 0, "a number > 0 and <= 8")
COMPILE = one_of(False, True, "reduce-overhead", "max-autotune")
DATASET: Rules = {"path": optional(text, "none"), "size": SIZE, "resize": SIZE}
MODEL: Rules = {"width": WIDTH}
SCHEDULE: Rules = {"at": list_of(number(0, 1), least=0), "gamma": number(0)}

CLASSIFIER: Rules = {
    "model": component(
        MODEL, nn.Module, "it classifies no images; resnet34 does", given=("num_classes", "in_channels")
    ),
    "optimizer": component(OPTIMIZER, torch.optim.Optimizer, "adam is one"),
    "schedule": component(SCHEDULE, given=("optimizer", "epochs")),
    "epochs": whole(1, 100_000),
    "batch_size": whole(1, 1_000_000),
    "train_size": optional(whole(), "all"),
    "held_out": SHARE,
    "precision": one_of(*PRECISIONS),
    "channels_last": flag,
    "compile": COMPILE,
}
IMAGES: Rules = {
    **CLASSIFIER,
    "dataset": component(DATASET, Images, "it holds no images; digits does"),
}


def try_parts(cfg: DictConfig) -> None:
    """Makes model, optimizer and schedule as the run will, but of nothing: what they refuse is said before."""
    require_precision(cfg.precision, pick_device(cfg.get("device", "auto")))
    with torch.device("meta"):
        build("model", cfg.model, num_classes=10, in_channels=3)
    optimizer = build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])
    build("schedule", cfg.schedule, optimizer, epochs=cfg.epochs)
