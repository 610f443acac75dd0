"""What the settings of a translation model may be, those that fairseq gets included."""

from typing import Any

import torch
from omegaconf import DictConfig

from acprop.runs import require
from acprop.runs.environment import PRECISIONS, pick_device
from acprop.runs.identity import Config
from acprop.runs.launch import build
from acprop.runs.settings import (
    OPTIMIZER,
    Rule,
    Rules,
    Settings,
    apply,
    component,
    either,
    list_of,
    name,
    number,
    one_of,
    optional,
    text,
    whole,
)  # fmt: skip
from experiments.images.settings import WIDTH
from experiments.transformer.corpus import Corpus

SHARE = Rule(lambda x: number(0, 1).holds(x) and x < 1, "a number >= 0 and < 1")
PAIRS = whole(1, 10_000_000)
MERGES = whole(1, 1_000_000)
ARCHITECTURES = (
    "transformer_iwslt_de_en", "transformer", "transformer_tiny", "transformer_wmt_en_de", "transformer_wmt_en_de_big",
    "transformer_wmt_en_de_big_t2t", "transformer_vaswani_wmt_en_de_big", "transformer_vaswani_wmt_en_fr_big",
)  # fmt: skip
CORPUS: Rules = {
    **dict.fromkeys(("source", "target", "language", "name"), optional(name)),
    **dict.fromkeys(("train", "valid", "test", "held_out"), PAIRS),
    "words": list_of(whole(1, 10_000), 2, 2),
    "seed": whole(0),
    "bpe_merges": MERGES,
    **dict.fromkeys(("path", "url", "checksum"), optional(text)),
    "test_sets": optional(list_of(text), "all"),
}
NET: Rules = {
    "arch": one_of(*ARCHITECTURES),
    "layers": whole(1, 1000),
    "embed_dim": whole(1, 100_000),
    "ffn_dim": whole(1, 1_000_000),
    "heads": whole(1, 1000),
    "width": WIDTH,
}


def net(argument: str, value: Any, config: Config) -> None:
    translates = isinstance(value, dict) and "_target_" not in value
    require(translates, argument, config["names"]["model"], "it does not translate; transformer_iwslt does")
    for key in NET:
        require(key in value, f"{argument}.{key}", None, "it must be set")
    for key, item in value.items():
        require(key in NET, f"{argument}.{key}", item, f"choose of {', '.join(NET)}")
        apply(NET[key], f"{argument}.{key}", item, config)


RULES: Rules = {
    "dataset": component(CORPUS, Corpus, "it holds no sentence pairs; cldr_de_en does"),
    "model": net,
    "optimizer": component(OPTIMIZER, torch.optim.Optimizer, "adam is one"),
    "epochs": whole(1, 100_000),
    "max_tokens": whole(1, 10_000_000),
    "warmup": whole(),
    "dropout": SHARE,
    "label_smoothing": SHARE,
    "average_last": whole(1, 100_000),
    "precision": one_of(*PRECISIONS),
    "beam": whole(1, 1000),
    "layers": whole(1, 1000),
    "width": WIDTH,
    "sentences": PAIRS,
    "held_out": PAIRS,
    "bpe_merges": MERGES,
}


def relations(cfg: DictConfig) -> None:
    require(cfg.average_last <= cfg.epochs, "average_last", cfg.average_last, f"at most epochs={cfg.epochs}")
    on_gpu = pick_device(cfg.device).type == "cuda"
    require(cfg.precision != "bf16" or on_gpu, "precision", cfg.precision, "on a GPU alone, with fairseq; use fp32")
    dim, heads = round(cfg.model.embed_dim * cfg.width), cfg.model.heads
    fits = f"{cfg.model.embed_dim} x width must be a multiple of heads={heads}"
    require(dim > 0 and dim % heads == 0, "width", cfg.width, fits)
    require(not cfg.telemetry, "telemetry", cfg.telemetry, "fairseq trains in a process of its own; use 0")
    build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])


SETTINGS = Settings(RULES, relations)
__all__ = ["SETTINGS", "either"]
