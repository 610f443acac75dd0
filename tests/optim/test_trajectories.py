"""ACProp against float64 values that the authors' published class produced (tests/reference/, `note` says how)."""

import json
from pathlib import Path

import pytest
import torch

from acprop import ACProp

CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[1] / "reference" / "authors_trajectories.json").read_text())["cases"]
}
SCRIPT = ["main_py", "main_py_dormant", "main_py_eps1e-16", "coupled_decay", "decoupled_decay", "betas_05_0999"]


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("name", SCRIPT)
def test_acprop_repeats_the_authors_steps(name, foreach):
    case = CASES[name]
    given = case["kwargs"]
    x = torch.tensor([case["x0"]], dtype=torch.float64, requires_grad=True)
    optimizer = ACProp(
        [x], lr=given["lr"], betas=given["betas"], eps=given["eps"], weight_decay=given.get("weight_decay", 0),
        decoupled_weight_decay=given["weight_decouple"], foreach=foreach,
    )  # fmt: skip
    for grad, expected in zip(case["grads"], case["x"], strict=True):
        x.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        assert x.item() == pytest.approx(expected, rel=1e-12)
