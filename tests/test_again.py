"""The command that a caption names composes the very run."""

import shlex

import pytest

from acprop.report import RESULTS
from acprop.report.again import again, command
from acprop.runs import Run, load_records
from acprop.runs.compose import composed
from acprop.runs.identity import config_hash, resolved
from acprop.runs.record import load_published


def hash_of(line):
    """Of the run that a command would start."""
    assert line.startswith("python -m experiments.")
    _, _, module, *words = shlex.split(line)  # what a shell makes of it
    config = resolved(composed(module.removeprefix("experiments."), *words))
    config.pop("hydra")
    return config_hash(config), config["seed"]


def leave(configure, task, *overrides):
    with Run.open(configure(task, "tracking=none", *overrides)) as run:
        run.log("test", top1=1.0)
    (record,) = load_records(task)
    return record


CELLS = [
    ("cifar", "dataset=fashion_mnist", "model=vgg11", "scale=study", "optimizer=sgd", "optimizer.lr=0.3", "seed=3"),
    ("cifar", "dataset=cifar10", "scale=paper", "optimizer=radam", "width=0.5", "epochs=7", "schedule=cosine"),
    ("gan", "dataset=digits", "tuned=none", "optimizer=adam", "optimizer.betas=[0.5,0.99]", "fid_weights=null"),
    ("rl", "dataset=cartpole", "model=ppo", "tuned=none", "model.clip_range=0.1", "steps=900"),
    ("transformer", "dataset=cldr_ja_en", "scale=smoke", "optimizer.lr=2e-3", "beam=3"),
]


@pytest.mark.parametrize(("task", "overrides"), [(task, overrides) for task, *overrides in CELLS])
def test_it_is_the_same_run_with_nothing_said_that_need_not_be(task, overrides, configure):
    record = leave(configure, task, *overrides)
    line = command(record)
    assert hash_of(line) == (record.hash, record.summary["seed"])
    assert len(line.split()) <= len(("python", "-m", "module", "dataset", "model", "optimizer", "scale", "seed")) + len(
        [word for word in overrides if not word.startswith(("dataset=", "model=", "optimizer=", "scale=", "seed="))]
    )
    assert again([record]) == f"A run of it: {line}. "


def test_of_every_published_cell_the_command_is_that_run():
    cells = {(r.summary["task"], r.hash): r for r in load_published(RESULTS / "records") if r.status == "done"}
    tried = [record for (task, _), record in cells.items() if task != "theory"][::15]
    assert len(tried) > 5
    for record in tried:
        assert hash_of(command(record)) == (record.hash, record.summary["seed"])


def test_what_no_config_of_today_makes_has_none(configure):
    record = leave(configure, "cifar", "model=vgg11", "scale=smoke")
    record.config["model"]["_target_"] = "elsewhere.net"
    assert command(record) is None
    assert again([record]) == again([]) == ""


def test_what_other_code_computed_has_none(configure):
    cfg = configure("cifar", "model=vgg11", "scale=smoke", "tracking=none")
    cfg.revision = 99
    with Run.open(cfg) as run:
        run.log("test", top1=1.0)
    (record,) = load_records("cifar")
    assert command(record) is None
