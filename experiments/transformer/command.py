"""fairseq's command lines, as a config says them: at scale=paper the authors' own for DE-EN, option for option, with
the optimizer handed over as a node of conf/optimizer/."""

import json
from pathlib import Path

from omegaconf import DictConfig

from acprop.runs import UsageError
from acprop.runs.identity import resolved
from experiments.transformer.checkpoints import of_epoch
from experiments.transformer.corpus import Corpus

DATA = "data"  # the corpus, as fairseq sees it: a link in the folder where it works
LOG_INTERVAL = 20  # updates between two lines of the log: a progress bar, not a result
HALF = {"fp16": ["--fp16"], "bf16": ["--bf16"]}
LONGEST = {"max_len_a": 1.2, "max_len_b": 10}  # a translation has at most a * source + b tokens


def prepare(folder: Path, corpus: Corpus) -> None:
    """Makes the folder where fairseq works, the corpus linked into it."""
    folder.mkdir(exist_ok=True)
    (folder / DATA).unlink(missing_ok=True)
    (folder / DATA).symlink_to(corpus.folder.resolve())


def training_options(cfg: DictConfig, corpus: Corpus, folder: Path, epoch: int, cpu: bool) -> list[str]:
    """The command line of fairseq-train.

    Args:
        cfg: the composed config.
        corpus: what to train on.
        folder: where fairseq works, see `prepare`, and keeps its checkpoints.
        epoch: epochs already done; training goes on from the checkpoint of the last.
        cpu: stay off the GPU.

    Raises:
        UsageError: if that checkpoint is gone.
    """
    model, node = cfg.model, resolved(cfg.optimizer)
    generation = {"beam": cfg.beam, **LONGEST}
    options = [
        DATA, *_common(corpus, cpu),
        "--arch", model.arch, "--share-decoder-input-output-embed", "--dropout", cfg.dropout,
        "--encoder-layers", model.layers, "--decoder-layers", model.layers,
        "--encoder-embed-dim", round(model.embed_dim * model.width),
        "--decoder-embed-dim", round(model.embed_dim * model.width),
        "--encoder-ffn-embed-dim", round(model.ffn_dim * model.width),
        "--decoder-ffn-embed-dim", round(model.ffn_dim * model.width),
        "--encoder-attention-heads", model.heads, "--decoder-attention-heads", model.heads,
        "--optimizer", "suite", "--optimizer-node", json.dumps(node), "--lr", node["lr"],
        "--lr-scheduler", "inverse_sqrt", "--warmup-updates", cfg.warmup, "--clip-norm", 0.0,
        "--criterion", "label_smoothed_cross_entropy", "--label-smoothing", cfg.label_smoothing,
        "--max-tokens", cfg.max_tokens, "--max-epoch", cfg.epochs, "--seed", cfg.seed,
        "--eval-bleu", "--eval-bleu-args", json.dumps(generation), "--eval-bleu-detok", "moses",
        "--eval-bleu-remove-bpe", "--best-checkpoint-metric", "bleu", "--maximize-best-checkpoint-metric",
        # An epoch's checkpoint is written whole or not at all, checkpoint_last.pt is a copy that a kill can cut short.
        "--save-dir", ".", "--keep-last-epochs", cfg.average_last + 1, "--no-last-checkpoints",
        # Batches are a function of seed and epoch, not of the epoch at which the process started.
        "--update-epoch-batch-itr", True,
        "--log-format", "json", "--log-interval", LOG_INTERVAL,
    ]  # fmt: skip
    if cfg.precision in HALF:  # every tensor its own copy in fp32: AdaShift reduces by tensors
        options += [*HALF[cfg.precision], "--fp16-no-flatten-grads"]
    if epoch:
        path = of_epoch(folder, epoch)
        if not path.exists():
            raise UsageError(f"{path} is gone, so this run cannot go on; force=true starts it again")
        options += ["--restore-file", path.name]
    return [str(option) for option in options]


def generation_options(cfg: DictConfig, corpus: Corpus, checkpoint: str, cpu: bool) -> list[str]:
    """The command line of fairseq-generate on the test set, with a checkpoint by its name."""
    options = [
        DATA, *_common(corpus, cpu), "--path", checkpoint, "--gen-subset", "test",
        "--beam", cfg.beam, "--max-len-a", LONGEST["max_len_a"], "--max-len-b", LONGEST["max_len_b"],
        "--batch-size", 128, "--remove-bpe", "--log-format", "none",
    ]  # fmt: skip
    return [str(option) for option in options]


def _common(corpus: Corpus, cpu: bool) -> list[str]:
    languages = ["--task", "translation", "--source-lang", corpus.source, "--target-lang", corpus.target]
    # One GPU, however many there are: more would change the batch, and generate would translate a part.
    # Without a GPU a loader process would only take cores from the training itself.
    device = ["--distributed-world-size", "1", *(["--cpu", "--num-workers", "0"] if cpu else [])]
    # fairseq 0.12.3's own 8 leaves out the last sentences of a split if they are fewer.
    return [*languages, "--required-batch-size-multiple", "1", *device]
