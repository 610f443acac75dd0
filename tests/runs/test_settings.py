"""Bad input is one line that names setting and remedy, with exit code 2, and nothing is made. Good input passes."""

import importlib

import pytest

from acprop.runs.conf import CONF, options
from acprop.runs.launch import explain
from acprop.runs.settings import check
from tests.runs.bad_inputs import CASES

TASKS = sorted(path.stem for path in CONF.glob("*.yaml") if (CONF / path.stem).is_dir())


def settings(task):
    return importlib.import_module(f"experiments.{task}.settings").SETTINGS


def refusal(configure, task, overrides):
    """The line that the command would print, or None."""
    try:
        check(configure(task, *overrides), settings(task))
    except Exception as error:  # as launch does, which explains what is a user's mistake and raises the rest
        line = explain(error, task)
        if line is None:
            raise
        return line


def test_there_are_enough_cases_and_each_once():
    assert len(CASES) >= 250
    assert len({(task, *overrides) for task, overrides in CASES}) == len(CASES)


@pytest.mark.parametrize(("task", "overrides"), CASES, ids=lambda x: x if isinstance(x, str) else " ".join(x))
def test_bad_input_is_one_line(task, overrides, configure, tmp_path):
    line = refusal(configure, task, overrides)
    assert line, "accepted"
    assert "\n" not in line
    key = overrides[-1].lstrip("+~").partition("=")[0]
    named = {key, key.split(".")[0], key.split(".")[-1], overrides[-1]}
    assert any(name in line for name in named), line
    assert not list(tmp_path.iterdir())


MODELS = {
    "cifar": ["vgg11", "resnet34", "densenet121", "wrn28_10"], "imagenet": ["resnet18"], "rl": ["dqn", "ppo", "sac"],
    "gan": ["dcgan", "rlgan", "sngan", "sagan"],
}  # fmt: skip
DATASETS = {
    "cifar": ["cifar10", "cifar100", "digits", "fashion_mnist"], "imagenet": ["imagenette", "image_folder"],
    "rl": ["cartpole", "acrobot", "pendulum", "minigrid_empty", "gymnasium dataset.id=Acrobot-v1"],
    "transformer": ["cldr_ja_en", "catalogues_de_en", "iwslt14_de_en", "ted_ro_en", "text dataset.path=a"],
}  # fmt: skip


def good():
    for task in TASKS:
        for scale in options(CONF / task / "scale"):
            yield task, f"scale={scale}"
    for name in options(CONF / "optimizer"):
        yield "cifar", f"optimizer={name} tuned=none"
    for name in options(CONF / "theory" / "study"):
        yield "theory", f"study={name}"
    for kind, choices in {"model": MODELS, "dataset": DATASETS}.items():
        for task, names in choices.items():
            yield from ((task, f"{kind}={name} tuned=none") for name in names)


@pytest.mark.parametrize(("task", "overrides"), list(good()))
def test_what_conf_offers_passes(task, overrides, configure):
    assert refusal(configure, task, overrides.split()) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        ("imagenet", "dataset=image_folder dataset.path=/nonesuch"), ("cifar", "-m seed=0,abc dataset=cartpole"),
    ],
)  # fmt: skip
def test_a_command_with_bad_input_says_one_line_and_makes_nothing(task, overrides, command, tmp_path):
    done = command("-m", f"experiments.{task}", *overrides.split())
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == (2 if "-m" in overrides else 1), done.stderr
    assert all(line.startswith("error: ") for line in lines)
    assert not [path for path in tmp_path.rglob("*") if path.name not in ("runs", ".sweep", "multirun.yaml")]
