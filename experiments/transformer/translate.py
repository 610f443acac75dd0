"""Training a translation model with fairseq, one cell of Table 3.

Read `train` from top to bottom: corpus, fairseq's own training listened to, test. fairseq computes in a child process;
this one keeps the record.
"""

import json
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from acprop.runs import Run, require
from acprop.runs.environment import pick_device, visible_to_child
from acprop.runs.launch import build
from experiments.transformer import checkpoints
from experiments.transformer.child import Fairseq
from experiments.transformer.command import generation_options, prepare, training_options
from experiments.transformer.corpus import Corpus
from experiments.transformer.scoring import Translations, parse

SAMPLES = 5  # test sentences shown with their translations
Stats = dict[str, float]


def train(cfg: DictConfig) -> float | None:
    """Trains and tests one cell and leaves its record. Returns its score, validation BLEU of the last epoch, or None if
    it diverged."""
    check(cfg)
    with Run.open(cfg, select=("valid/bleu", "max")) as run:
        if run.finished:
            return run.summary["final"].get("valid/bleu") if run.summary["status"] == "done" else None
        corpus: Corpus = build("dataset", cfg.dataset)
        allowed = f"at least {corpus.longest}, for the longest sentence of dataset={cfg.names.dataset}"
        require(cfg.max_tokens >= corpus.longest, "max_tokens", cfg.max_tokens, allowed)
        folder, cpu = run.dir / "fairseq", run.device.type == "cpu"
        run.describe(languages=f"{corpus.source}-{corpus.target}", **{f"{k}_size": n for k, n in corpus.sizes.items()})
        run.describe(**corpus.facts)
        if corpus.published is not None:
            run.describe(published_data=corpus.published)
        prepare(folder, corpus)
        run.register()  # the state is in fairseq's checkpoints
        options = training_options(cfg, corpus, folder, run.epoch, cpu)
        bar = tqdm(total=cfg.epochs, initial=run.epoch, unit="epoch", disable=not sys.stderr.isatty(), leave=False)
        variables = visible_to_child(run.device)
        if cfg.precision == "tf32":
            variables["TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"] = "1"
        with Fairseq(folder, torch.get_num_threads(), **variables) as fairseq:
            lines = fairseq.run("train", *options, log=run.dir / "train.log")
            for epoch in run.epochs(cfg.epochs):
                training, validation = one_epoch(lines, run, bar)
                run.step, run.lr = int(training["num_updates"]), training["lr"]
                run.samples += corpus.sizes["train"]
                run.log("train", **{name: training[name] for name in ("loss", "nll_loss", "gnorm")})
                run.log("valid", **{name: validation[name] for name in ("loss", "nll_loss", "bleu")})
                message = f"epoch {epoch + 1}/{cfg.epochs}: train loss {training['loss']:.3f}"
                message += f", validation BLEU {validation['bleu']:.2f}"
                bar.set_postfix_str(message) if not bar.disable else print(message, flush=True)
                if epoch + 1 == cfg.epochs:
                    bar.close()
                    deque(lines, maxlen=0)  # to the end of the tool
                    test(cfg, run, corpus, folder, fairseq)
        return run.values["valid/bleu"]
    return None  # diverged


def check(cfg: DictConfig) -> None:
    """What a user can get wrong and fairseq would only say in a traceback."""
    counts = ("epochs", "max_tokens", "warmup", "beam", "average_last", "layers", "sentences", "held_out", "bpe_merges")
    for name in counts:
        require(isinstance(cfg[name], int) and cfg[name] > 0, name, cfg[name], "a whole number > 0")
    require(cfg.average_last <= cfg.epochs, "average_last", cfg.average_last, f"at most epochs={cfg.epochs}")
    on_gpu = pick_device(cfg.device).type == "cuda"
    require(cfg.precision != "bf16" or on_gpu, "precision", cfg.precision, "on a GPU alone, with fairseq; use fp32")
    require(0 <= cfg.dropout < 1, "dropout", cfg.dropout, "a number in [0, 1)")
    target = str(cfg.dataset.get("_target_"))
    own = target.startswith("experiments.transformer.")
    require(own, "dataset", cfg.names.dataset, "it holds no sentence pairs; cldr_de_en does")
    require("arch" in cfg.model, "model", cfg.names.model, "it does not translate; transformer_iwslt does")
    dim, heads = round(cfg.model.embed_dim * cfg.width), cfg.model.heads
    fits = f"{cfg.model.embed_dim} x width must be a multiple of heads={heads}"
    require(dim > 0 and dim % heads == 0, "width", cfg.width, fits)
    require(not cfg.telemetry, "telemetry", cfg.telemetry, "fairseq trains in a process of its own; use 0")
    build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])


def one_epoch(lines: Iterator[str], run: Run, bar: tqdm) -> tuple[Stats, Stats]:
    """(training, validation) statistics of the next epoch, from fairseq's log. Returns when its checkpoint is whole:
    fairseq validates, saves, and then speaks of the training as a whole."""
    validation: Stats = {}
    for line in lines:
        name, stats = statistics(line)
        if name == "train_inner":
            run.require_finite("training loss", stats["loss"])
            bar.update(stats["update"] - bar.n)
        elif name == "valid":
            validation = stats
        elif name == "train":
            run.require_finite("training loss", stats["loss"])
            return stats, validation
    raise RuntimeError(f"fairseq ended before epoch {run.epoch + 1} did; all it said: {run.dir / 'train.log'}")


def statistics(line: str) -> tuple[str, Stats]:
    """The name and numbers of a line of fairseq's JSON log, without the name as a prefix; ("", {}) for other lines.

    `time | INFO | valid | {"epoch": 1, "valid_loss": "7.1"}` -> ("valid", {"epoch": 1.0, "loss": 7.1})
    """
    fields = line.split(" | ", 3)
    if len(fields) < 4 or fields[2] not in ("train", "train_inner", "valid") or not fields[3].startswith("{"):
        return "", {}
    name = fields[2]
    return name, {key.removeprefix(f"{name}_"): float(value) for key, value in json.loads(fields[3]).items()}


def test(cfg: DictConfig, run: Run, corpus: Corpus, folder: Path, fairseq: Fairseq) -> None:
    """BLEU on the test set: of the average of the last checkpoints, as the paper's, and of the best by validation."""
    last = [checkpoints.of_epoch(folder, epoch + 1) for epoch in range(cfg.epochs - cfg.average_last, cfg.epochs)]
    checkpoints.average(last, folder / "checkpoint_average.pt")
    average, best = (translate(cfg, run, corpus, fairseq, which) for which in ("average", "best"))
    run.log(
        "test", bleu=average.tokenized_bleu(), sacrebleu=average.sacrebleu(),
        best_bleu=best.tokenized_bleu(), best_sacrebleu=best.sacrebleu(),
    )  # fmt: skip
    samples = average.samples(SAMPLES)
    run.describe(sacrebleu_signature=average.signature(), samples=samples)
    for sample in samples:
        print("\n".join(f"  {name:12}{text}" for name, text in sample.items()) + "\n", flush=True)


def translate(cfg: DictConfig, run: Run, corpus: Corpus, fairseq: Fairseq, which: str) -> Translations:
    options = generation_options(cfg, corpus, f"checkpoint_{which}.pt", cpu=run.device.type == "cpu")
    log = run.dir / f"test-{which}.log"
    log.unlink(missing_ok=True)
    return parse(fairseq.run("generate", *options, log=log), corpus)
