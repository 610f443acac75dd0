"""Is it the authors' ACProp? Twelve steps of their published class, in nine settings, against the class of this package
and against ACProp with one thing wrong."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from acprop import ACProp
from acprop.report import PUBLISHED
from acprop.runs import Run, require_one_of
from experiments.theory.recurrences import MUTANTS, start


def trajectories() -> list[dict[str, Any]]:
    """name, x0, grads, kwargs of the authors' class, and its x after each step in float64."""
    return json.loads((PUBLISHED / "authors_trajectories.json").read_text())["cases"]


def arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The authors' flags as this package's arguments."""
    variant = "momentum" if given.get("momentum_update") else "rectified" if given["rectify"] else "script"
    decoupled = "fixed" if given.get("fixed_decay") else given["weight_decouple"]
    return {
        "lr": given["lr"], "betas": given["betas"], "eps": given["eps"], "variant": variant,
        "weight_decay": given.get("weight_decay", 0), "decoupled_weight_decay": decoupled,
    }  # fmt: skip


def study(run: Run, mutants: Sequence[str]) -> None:
    """Logs the largest relative difference of any step: of ACProp in each setting; of a mutant over the settings that
    name nothing but lr, betas and eps, which is all that a mutant has."""
    for name in mutants:
        require_one_of("study.mutants", name, MUTANTS)
    cases = trajectories()
    for case in cases:
        run.log(f"acprop/{case['name']}", difference=_difference(case, _steps_of_class(case)))
    nothing_else = {"variant": "script", "weight_decay": 0}.items()
    plain = [case for case in cases if nothing_else <= arguments(case["kwargs"]).items()]
    for name in mutants:
        run.log(name, difference=max(_difference(case, _steps_of_rule(name, case)) for case in plain))


def _difference(case: dict[str, Any], x: Sequence[float]) -> float:
    return float(np.max(np.abs(np.array(x) - case["x"]) / np.abs(case["x"])))


def _steps_of_class(case: dict[str, Any]) -> list[float]:
    x = torch.tensor([case["x0"]], dtype=torch.float64, requires_grad=True)
    optimizer, found = ACProp([x], **arguments(case["kwargs"])), []
    for grad in case["grads"]:
        x.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        found.append(x.item())
    return found


def _steps_of_rule(name: str, case: dict[str, Any]) -> list[float]:
    (b1, b2), eps = case["kwargs"]["betas"], case["kwargs"]["eps"]
    rule = start(name, b1, b2, **({} if name == "sgd" else {"eps": eps}))
    x, found = case["x0"], []
    for grad in case["grads"]:
        x -= case["kwargs"]["lr"] * float(rule.send(grad))
        found.append(x)
    return found
