"""What an optimizer really does to the parameters: looked at on some steps, logged like any metric.

`telemetry=50` looks at every 50th optimizer step, and at each of the first 100, where asynchronous methods blow up if
they do. Under split `update` (`update_<name>` for a second optimizer):

    ratio                          ||x_t - x_{t-1}|| / ||x_t||, over all parameters
    step_p50, step_p99, step_max   quantiles over coordinates of |x_t - x_{t-1}| / lr
    at_floor                       share of coordinates whose second moment is so small that eps rules the denominator
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from acprop.runs.run import Run

FIRST = 100
SAMPLE = 2**16  # coordinates of which quantiles are taken: evenly spread over all of them
SECOND_MOMENTS = ("exp_avg_var", "exp_avg_sq", "square_avg")


class Telemetry:
    def __init__(self, run: "Run", split: str, optimizer: Optimizer, every: int) -> None:
        self.run, self.split, self.every = run, split, every
        self.before: list[Tensor] | None = None
        optimizer.register_step_pre_hook(self._before)
        optimizer.register_step_post_hook(self._after)

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.before = None
        if self.run.step < FIRST or self.run.step % self.every == 0:
            self.before = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]

    @torch.no_grad()
    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.before is None:
            return
        rows = [(p, group) for group in optimizer.param_groups for p in group["params"]]
        total = sum(p.numel() for p, _ in rows)
        moved = torch.zeros((), dtype=torch.float64)
        length = torch.zeros((), dtype=torch.float64)
        steps, floors = [], []
        for (p, group), old in zip(rows, self.before, strict=True):
            change = old.sub_(p)
            moved += change.float().square().sum().cpu()
            length += p.float().square().sum().cpu()
            stride = -(-total // SAMPLE)
            steps.append(change.flatten()[::stride].abs().float() / max(float(group["lr"]), 1e-38))
            state = optimizer.state.get(p, {})
            for name in SECOND_MOMENTS:
                if name in state:
                    floor = optimizer.eps_floor(group) if hasattr(optimizer, "eps_floor") else group["eps"] ** 2
                    floors.append((state[name].flatten()[::stride].float() <= floor).float())
        size = torch.cat([one.cpu() for one in steps])
        half, high, largest = torch.quantile(size, torch.tensor([0.5, 0.99, 1.0])).tolist()
        values = {"ratio": (moved / length.clamp_min(1e-38)).sqrt().item(), "step_p50": half, "step_p99": high}
        values["step_max"] = largest
        if floors:
            values["at_floor"] = torch.cat([one.cpu() for one in floors]).mean().item()
        self.run.log(self.split, **values)
        self.before = None
