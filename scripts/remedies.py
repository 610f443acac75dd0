"""The raw first step and dormant coordinates, with and without the remedies. Prints two tables of docs/optimizers.md.

    python scripts/remedies.py

Rosenbrock f(x, y) = (1 - x)^2 + 100 (y - x^2)^2 from (0, 0) at lr 1e-4: the gradient of y is 0 there, and small after
it, so y's second moment is almost nothing when y has to move. One-hot: 200 weights, each the output for one input that
comes once in 200 steps on average, loss (w_i - 1)^2 / 2; between its turns a weight's gradient is zero.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from acprop import ADOPT, ACProp

STEPS = 20_000
METHODS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam, eps 1e-8": lambda p, lr: torch.optim.Adam(p, lr=lr),
    "ADOPT, eps 1e-6": lambda p, lr: ADOPT(p, lr=lr),
    "ACProp, eps 1e-8": lambda p, lr: ACProp(p, lr=lr),
    "ACProp, eps 1e-16": lambda p, lr: ACProp(p, lr=lr, eps=1e-16),
    "ACProp, eps 1e-16, skip_first_step": lambda p, lr: ACProp(p, lr=lr, eps=1e-16, skip_first_step=True),
    "ACProp, eps 1e-16, clip_update=1": lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0),
    "ACProp, eps 1e-16, both": lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0, skip_first_step=True),
    "ACProp paper, eps 1e-8": lambda p, lr: ACProp(p, lr=lr, variant="paper"),
    "ACProp paper, eps 1e-8, both": lambda p, lr: ACProp(
        p, lr=lr, variant="paper", clip_update=1.0, skip_first_step=True
    ),
}


def follow(make: Callable[..., torch.optim.Optimizer], x: torch.Tensor, lr: float, grad: Callable[[int], Any]) -> Any:
    """(largest |move| / lr of a coordinate in a step, the step it happened in); x is where the run ended."""
    optimizer = make([x], lr=lr)
    largest, when = 0.0, 0
    for t in range(1, STEPS + 1):
        before = x.detach().clone()
        x.grad = grad(t)
        optimizer.step()
        move = (x.detach() - before).abs().max().item() / lr
        if not move <= largest:  # not finite counts
            largest, when = move, t
    return largest, when


def rosenbrock(make: Callable[..., torch.optim.Optimizer]) -> tuple[float, int, float]:
    """(largest move / lr, its step, distance to (1, 1) at the end)."""
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def grad(t: int) -> torch.Tensor:
        a, b = x.tolist()
        return torch.tensor([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)], dtype=torch.float64)

    largest, when = follow(make, x, 1e-4, grad)
    return largest, when, (x.detach() - 1).norm().item()


def one_hot(make: Callable[..., torch.optim.Optimizer]) -> tuple[float, int, float]:
    """(largest move / lr, its step, mean loss at the end)."""
    x = torch.zeros(200, dtype=torch.float64, requires_grad=True)
    turns = torch.randint(200, (STEPS + 1,), generator=torch.Generator().manual_seed(0)).tolist()

    def grad(t: int) -> torch.Tensor:
        g = torch.zeros(200, dtype=torch.float64)
        g[turns[t]] = x[turns[t]].item() - 1
        return g

    largest, when = follow(make, x, 1e-2, grad)
    return largest, when, (x.detach() - 1).square().mean().item() / 2


def tables() -> str:
    lines = []
    for title, problem, end in (
        (f"Rosenbrock from (0, 0), lr 1e-4, {STEPS:,} steps", rosenbrock, "distance to (1, 1) at the end"),
        (f"One-hot, 200 weights, lr 1e-2, {STEPS:,} steps", one_hot, "mean loss at the end (0.5 at the start)"),
    ):
        lines += [f"| {title} | largest move / lr | at step | {end} |", "|---|---|---|---|"]
        for name, make in METHODS.items():
            largest, when, last = problem(make)
            lines.append(f"| {name} | {largest:.4g} | {when:,} | {last:.3g} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    print(tables())
