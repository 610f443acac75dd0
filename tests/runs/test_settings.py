"""Bad input is one line that names setting, value and remedy, with exit code 2, and nothing is made. Good input passes."""

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
    except Exception as error:
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


def good():
    for task in TASKS:
        for scale in options(CONF / task / "scale"):
            yield task, f"scale={scale}"
    for group, tasks in {"optimizer": TASKS[:-1]}.items():
        yield from (
            (task, f"{group}={one} tuned=none") for task in tasks for one in options(CONF / group) if task != "theory"
        )


@pytest.mark.parametrize(("task", "overrides"), list(good()))
def test_what_conf_offers_passes(task, overrides, configure):
    assert refusal(configure, task, overrides.split()) is None
