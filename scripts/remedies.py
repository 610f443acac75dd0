"""The raw first step, coordinates without gradients, and the remedies. Prints four tables of docs/optimizers.md.

    python scripts/remedies.py

Rosenbrock f(x, y) = (1 - x)^2 + 100 (y - x^2)^2 from (0, 0) at lr 1e-4: the gradient of y is 0 there, and small after
it, so y's second moment is almost nothing when y has to move. One-hot: 200 weights, each the output for one input that
comes once in 200 steps on average, loss (w_i - 1)^2 / 2; between its turns a weight's gradient is zero. LoRA and
residual blocks begin with matrices of zeros, so that what is before these has zero gradients at first: regression of
sin(x_1 + .. + x_4) on 256 points in 32 dimensions, three layers of rank 8 on fixed ones, or three blocks.
"""

import argparse
import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from acprop import ADOPT, ACProp

Make = Callable[..., torch.optim.Optimizer]
METHODS: dict[str, Make] = {
    "Adam, eps 1e-8": lambda p, lr: torch.optim.Adam(p, lr=lr),
    "ADOPT, eps 1e-6": lambda p, lr: ADOPT(p, lr=lr),
    "ACProp, eps 1e-8": lambda p, lr: ACProp(p, lr=lr),
    "ACProp, eps 1e-8, skip_first_step": lambda p, lr: ACProp(p, lr=lr, skip_first_step=True),
    "ACProp, eps 1e-8, clip_update=1": lambda p, lr: ACProp(p, lr=lr, clip_update=1.0),
    "ACProp, eps 1e-16": lambda p, lr: ACProp(p, lr=lr, eps=1e-16),
    "ACProp, eps 1e-16, skip_first_step": lambda p, lr: ACProp(p, lr=lr, eps=1e-16, skip_first_step=True),
    "ACProp, eps 1e-16, clip_update=1": lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0),
    "ACProp, eps 1e-16, both": lambda p, lr: ACProp(p, lr=lr, eps=1e-16, clip_update=1.0, skip_first_step=True),
    "ACProp paper, eps 1e-8": lambda p, lr: ACProp(p, lr=lr, variant="paper"),
    "ACProp paper, eps 1e-8, both": lambda p, lr: ACProp(
        p, lr=lr, variant="paper", clip_update=1.0, skip_first_step=True
    ),
}


def follow(
    make: Make, params: Sequence[torch.Tensor], lr: float, steps: int, grads: Callable[[int], Sequence[torch.Tensor]]
) -> tuple[float, int]:
    """(largest |move| / lr of a coordinate in a step, its step); `grads` gives one for each parameter."""
    optimizer = make(params, lr=lr)
    largest, when = 0.0, 0
    for t in range(1, steps + 1):
        before = [p.detach().clone() for p in params]
        for p, grad in zip(params, grads(t), strict=True):
            p.grad = grad
        optimizer.step()
        move = max(float((p.detach() - b).abs().max()) for p, b in zip(params, before, strict=True)) / lr
        if not move <= largest:  # not finite counts
            largest, when = move, t
        if not math.isfinite(move):
            break
    return largest, when


def rosenbrock(make: Make, steps: int) -> tuple[float, int, float]:
    """(largest move / lr, its step, distance to (1, 1) at the end)."""
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def grads(t: int) -> list[torch.Tensor]:
        a, b = x.tolist()
        return [torch.tensor([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)], dtype=torch.float64)]

    largest, when = follow(make, [x], 1e-4, steps, grads)
    return largest, when, (x.detach() - 1).norm().item()


def one_hot(make: Make, steps: int) -> tuple[float, int, float]:
    """(largest move / lr, its step, mean loss at the end)."""
    x = torch.zeros(200, dtype=torch.float64, requires_grad=True)
    turns = torch.randint(200, (steps + 1,), generator=torch.Generator().manual_seed(0)).tolist()

    def grads(t: int) -> list[torch.Tensor]:
        g = torch.zeros(200, dtype=torch.float64)
        g[turns[t]] = x[turns[t]].item() - 1
        return [g]

    largest, when = follow(make, [x], 1e-2, steps, grads)
    return largest, when, (x.detach() - 1).square().mean().item() / 2


class LowRank(nn.Module):
    """A fixed linear layer and, trained beside it, a product of two matrices of which the second is zero at first."""

    def __init__(self, width_in: int, width_out: int, rank: int = 8) -> None:
        super().__init__()
        self.fixed = nn.Linear(width_in, width_out).requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, width_in) / width_in**0.5)
        self.up = nn.Parameter(torch.zeros(width_out, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fixed(x) + x @ self.down.T @ self.up.T


class Block(nn.Module):
    """x + W relu(V x), W zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.two.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.two(self.one(x).relu())


def lora(make: Make, steps: int) -> tuple[float, int, float]:
    torch.manual_seed(0)
    net = nn.Sequential(LowRank(32, 64), nn.ReLU(), LowRank(64, 32), nn.ReLU(), LowRank(32, 1))
    return regression(make, steps, net.double())


def blocks(make: Make, steps: int) -> tuple[float, int, float]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(32, 64), *(Block(64) for _ in range(3)), nn.Linear(64, 1))
    return regression(make, steps, net.double())


def regression(make: Make, steps: int, net: nn.Module) -> tuple[float, int, float]:
    """(largest move / lr, its step, mean squared error at the end)."""
    x = torch.randn(256, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x[:, :4].sum(1, keepdim=True).sin()
    params = [p for p in net.parameters() if p.requires_grad]

    def loss() -> torch.Tensor:
        return (net(x) - y).square().mean()

    largest, when = follow(make, params, 1e-2, steps, lambda t: torch.autograd.grad(loss(), params))
    return largest, when, loss().item()


def tables() -> str:
    lines = []
    for title, problem, steps, end in (
        ("Rosenbrock from (0, 0), lr 1e-4", rosenbrock, 20_000, "distance to (1, 1) at the end"),
        ("One-hot, 200 weights, lr 1e-2", one_hot, 20_000, "mean loss at the end (0.5 at the start)"),
        ("LoRA, lr 1e-2", lora, 500, "mean squared error at the end (0.5 at the start)"),
        ("Zero-initialised blocks, lr 1e-2", blocks, 500, "mean squared error at the end (0.6 at the start)"),
    ):
        lines += [f"| {title}, {steps:,} steps | largest move / lr | at step | {end} |", "|---|---|---|---|"]
        for name, make in METHODS.items():
            largest, when, last = problem(make, steps)
            lines.append(f"| {name} | {largest:.4g} | {when:,} | {last:.3g} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    print(tables())
