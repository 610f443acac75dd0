"""What fairseq is told, and what a user is told before fairseq starts."""

import importlib.util
import json
import platform
from pathlib import Path

import pytest
import yaml

from acprop.runs import UsageError
from acprop.runs.conf import roster
from acprop.runs.launch import CONF, build
from experiments.transformer import child, translate
from experiments.transformer.__main__ import run
from experiments.transformer.command import generation_options, training_options
from experiments.transformer.corpus import Corpus

CELLS = sorted((CONF / "transformer" / "tuned" / "iwslt14_de_en" / "transformer_iwslt").glob("*.yaml"))
CORPUS = Corpus(Path("data-bin"), "de", "en", {"train": 160239, "valid": 7283, "test": 6750}, longest=176)
# The authors' DE-EN setting, as fairseq spells it.
PUBLISHED = {
    "--arch": "transformer_iwslt_de_en", "--share-decoder-input-output-embed": None,
    "--encoder-layers": "6", "--decoder-layers": "6",
    "--encoder-embed-dim": "512", "--decoder-embed-dim": "512",
    "--encoder-ffn-embed-dim": "1024", "--decoder-ffn-embed-dim": "1024",
    "--encoder-attention-heads": "4", "--decoder-attention-heads": "4",
    "--lr": "0.0005", "--lr-scheduler": "inverse_sqrt", "--warmup-updates": "4000", "--dropout": "0.3",
    "--criterion": "label_smoothed_cross_entropy", "--label-smoothing": "0.1", "--max-tokens": "4096",
    "--max-epoch": "50", "--clip-norm": "0.0",
}  # fmt: skip
# What the project adds: whose optimizer, which data, what is measured, where checkpoints go, how it is told.
ADDED = {
    "--distributed-world-size", "--required-batch-size-multiple", "--optimizer", "--optimizer-node",
    "--task", "--source-lang", "--target-lang", "--seed", "--eval-bleu", "--eval-bleu-args", "--eval-bleu-detok",
    "--eval-bleu-remove-bpe", "--best-checkpoint-metric", "--maximize-best-checkpoint-metric", "--save-dir",
    "--keep-last-epochs",
    "--no-last-checkpoints", "--update-epoch-batch-itr", "--log-format", "--log-interval",
}  # fmt: skip


def as_dict(words):
    """`["--a", "1", "--b"]` as `{"--a": "1", "--b": None}`."""
    return {
        word: following if following and not following.startswith("--") else None
        for word, following in zip(words, [*words[1:], None], strict=True)
        if word.startswith("--")
    }


@pytest.mark.parametrize("optimizer", roster("table3"))
def test_the_papers_command_line_option_for_option(optimizer, configure):
    cfg = configure("transformer", "dataset=iwslt14_de_en", f"optimizer={optimizer}", "scale=paper", "seed=3")
    words = training_options(cfg, CORPUS, Path("checkpoints"), epoch=0, cpu=False)
    options = as_dict(words)
    assert words[0] == "data"
    assert {name: options.get(name, "absent") for name in PUBLISHED} == PUBLISHED
    assert set(options) == set(PUBLISHED) | ADDED
    assert (options["--seed"], options["--distributed-world-size"]) == ("3", "1")
    assert json.loads(options["--eval-bleu-args"])["beam"] == 5
    assert json.loads(options["--optimizer-node"])["weight_decay"] == 1e-4
    assert (cfg.average_last, cfg.dataset.bpe_merges) == (5, 10_000)
    generation = as_dict(generation_options(cfg, CORPUS, "best.pt", cpu=False))
    assert (generation["--max-len-a"], generation["--max-len-b"]) == ("1.2", "10"), "tested as validated"
    assert (generation["--beam"], generation["--path"], "--remove-bpe" in generation) == ("5", "best.pt", True)


def test_the_authors_own_cells(configure):
    nodes = {
        name: configure("transformer", f"optimizer={name}", "scale=paper").optimizer for name in ("adam", "adabelief")
    }
    adam = nodes["adam"]
    assert (list(adam.betas), adam.eps, adam.decoupled_weight_decay) == ([0.9, 0.98], 1e-8, True)
    belief = nodes["adabelief"]
    assert (list(belief.betas), belief.eps, belief.decoupled_weight_decay) == ([0.9, 0.999], 1e-16, True)


def test_table_3_is_complete():
    assert {cell.stem for cell in CELLS} == set(roster("table3"))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.stem)
def test_every_cell_has_a_source_and_reaches_the_optimizer(cell, configure, tmp_path):
    import torch

    assert yaml.safe_load(cell.read_text())["tuned"]["source"]
    cfg = configure("transformer", f"optimizer={cell.stem}")
    optimizer = build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])
    for key, value in yaml.safe_load(cell.read_text())["optimizer"].items():
        if key != "_target_":
            stored = optimizer.param_groups[0][key]
            assert (list(stored) if isinstance(stored, tuple) else stored) == value
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)  # nothing in it that torch would not load


def test_a_resumed_run_says_where_from_and_a_lost_checkpoint_is_named(configure, tmp_path):
    cfg = configure("transformer", "scale=smoke")
    (tmp_path / "checkpoint2.pt").touch()
    options = as_dict(training_options(cfg, CORPUS, tmp_path, epoch=2, cpu=True))
    assert options["--restore-file"] == "checkpoint2.pt"
    assert "--cpu" in options
    with pytest.raises(UsageError, match=r"checkpoint4\.pt is gone"):
        training_options(cfg, CORPUS, tmp_path, epoch=4, cpu=True)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("epochs=0", "epochs=0"),
        ("sentences=0", "sentences=0"),
        ("width=0.01", "width=0.01 is not possible: 512 x width must be a multiple of heads=4"),
        ("telemetry=5", "telemetry=5"),
        ("max_tokens=1.5", "max_tokens=1.5"),
        ("max_tokens=4", "max_tokens=4 is not possible: at least "),
        ("average_last=9", "average_last=9 is not possible: at most epochs=2"),
        ("dropout=1", "dropout=1"),
        ("dataset=digits", "dataset='digits' is not possible"),
        ("model=vgg11", "model='vgg11' is not possible"),
        ("optimizer.lr=-1", "optimizer: ACProp: lr=-1"),
    ],
)
def test_a_bad_setting_is_named_before_fairseq_starts(override, words, configure):
    tuned = ["tuned=none"] if override.startswith("model") else []
    with pytest.raises(UsageError) as error:
        translate.train(configure("transformer", "scale=smoke", override, *tuned))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("system", "machine", "words"),
    [
        ("Linux", "x86_64", r"pip install '\.\[suite\]'"),
        ("Darwin", "arm64", "for Linux x86_64 and Python 3.11 or 3.12, so not for Darwin arm64"),
    ],
)
def test_without_fairseq_one_line_says_why(system, machine, words, monkeypatch, configure):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fairseq" else object())
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(UsageError, match=words) as error:
        run(configure("transformer", "scale=smoke"))
    assert "task=transformer: fairseq is not installed" in str(error.value)
    assert "\n" not in str(error.value)


DEATHS = {
    "raise StopIteration from FloatingPointError('gradients')": True,
    "fairseq_plugin.last_output[:] = [torch.tensor([torch.nan])]; assert 22 < 22": True,
    "fairseq_plugin.last_output[:] = [torch.ones(1)]; assert 22 < 22": False,
    "raise FloatingPointErrors": False,
    "print('FloatingPointError: gradients'); raise RuntimeError": False,
}


@pytest.mark.slow
def test_of_what_dies_in_fairseq_the_plugin_says_whether_it_diverged(command, tmp_path):
    """Each dies in a process of its own, in which the plugin is loaded."""
    code = """
import os, sys, torch
from experiments.transformer import fairseq_plugin
for number, death in enumerate(sys.argv[1:]):
    if (child := os.fork()) == 0:
        for stream in (1, 2):
            os.dup2(os.open(f"death{number}", os.O_CREAT | os.O_APPEND | os.O_WRONLY), stream)
        exec(death)
    print(os.waitpid(child, 0)[1] >> 8)
"""
    done = command("-c", code.replace("death{number}", f"{tmp_path}/death{{number}}"), *DEATHS)
    assert done.stdout.split() == ["1"] * len(DEATHS), done.stderr
    for number, (death, diverged) in enumerate(DEATHS.items()):
        said = (tmp_path / f"death{number}").read_text()
        assert "Traceback" in said
        assert any(line.startswith(child.DIVERGED) for line in said.splitlines()) == diverged, death


def test_lines_of_fairseqs_log():
    line = '2026-01-01 00:00:00 | INFO | valid | {"epoch": 1, "valid_loss": "7.1", "valid_bleu": "nan"}\n'
    name, stats = translate.statistics(line)
    assert name == "valid"
    assert stats["loss"] == 7.1
    assert stats["bleu"] != stats["bleu"]
    assert translate.statistics("2026-01-01 00:00:00 | INFO | train | Start iterating over samples") == ("", {})
    assert translate.statistics("anything else") == ("", {})
