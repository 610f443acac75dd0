"""AvaGrad: Adam with a delayed denominator and a step that is normalised over all parameters.

Savarese, McAllester, Babu, Maire: Domain-independent Dominance of Adaptive Methods, CVPR 2021, Algorithm 2, with the
bias corrections of the authors' code. d is the number of parameters of the group, the norm is over all of them.

m_t = beta1 m_{t-1} + (1 - beta1) g_t
eta_t = 1 / (sqrt(v_{t-1} / (1 - beta2^(t-1))) + eps)
x_t = x_{t-1} - lr * m_t / (1 - beta1^t) * eta_t / n_t                                   from t = 2
v_t = beta2 v_{t-1} + (1 - beta2) g_t^2

n_t = ||eta_t / sqrt(d)|| in the paper. The authors' code normalises by what the step before left: n_t is the norm of
1 / (sqrt(v_{t-2} / (1 - beta2^(t-1))) + eps), at t = 2 of 1 / eps.
"""

import sys
from types import FrameType
from typing import Any, Literal, Unpack

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, Options, descend, exact, is_recorded, number
from acprop.optim.tensors import Scalar, T, whole


class AvaGrad(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`, and

    betas: decay of the mean and of the second moment.
    eps: decides how adaptive it is: large is close to SGD, small to Adam.
    variant: "script", the authors' code, whose normalisation is a step old; "paper", where it is of this step.

    The first step only fills the moments. The norm is over the whole parameters of a group: right with DDP and FSDP2,
    refused where a process has only a part without knowing it (`ZeroRedundancyOptimizer`, the older FSDP).
    """

    state_names = ("exp_avg", "exp_avg_sq", "norm")
    decays_from = 2

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-1,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-1,
        weight_decay: float = 0.0,
        *,
        variant: Literal["script", "paper"] = "script",
        **options: Unpack[Options],
    ) -> None:
        if _is_in_zero():
            raise ValueError(
                "AvaGrad: not in ZeroRedundancyOptimizer, which gives each process a part of the parameters, while the "
                "step is normalised over all of them; use FSDP2 (fully_shard) or DDP alone"
            )
        super().__init__(params, lr, betas, eps, weight_decay, variant=variant, **options)

    def _check(self, group: Group) -> None:
        super()._check(group)
        self._require(group["variant"] in ("script", "paper"), "variant", group["variant"], "script or paper")

    def _needs_whole(self, group: Group) -> bool:
        return True

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        super()._init_state(p, state, group)
        zeros = torch.view_as_real(state["exp_avg"]) if p.is_complex() else state["exp_avg"]
        state["norm"] = torch.zeros((), dtype=zeros.dtype, device=p.device)  # of the whole group, alike for all

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        # the norm needs every tensor of the group before the first of them moves
        behind = 1 if group["variant"] == "paper" else 0
        squares = torch.zeros((), device=params[0].device)
        for step, v in zip(steps, columns[1], strict=True):
            v = torch.view_as_real(v) if v.is_complex() else v
            age = (exact(step) if is_recorded(group, steps) else step.item()) + 1 - behind
            square = whole(_root(v, age, group).reciprocal().square().sum())
            squares = squares + square.to(params[0].device)
        norm = (squares / sum(p.numel() * (2 if p.is_complex() else 1) for p in params)) ** 0.5
        if group["variant"] == "paper":
            for kept in columns[2]:
                kept.copy_(norm)
        super()._step_group(group, params, grads, steps, columns)
        if group["variant"] == "script":
            for kept in columns[2]:
                kept.copy_(norm)

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        exp_avg, exp_avg_sq, norm = state
        beta1, beta2 = group["betas"]
        first = number(t == 1, t)

        # update the mean
        exp_avg.lerp_(grad, 1 - beta1)

        # step by the mean over yesterday's root mean square
        step_size = group["lr"] * (1 - first) / (1 - beta1**t)
        descend(param, exp_avg, _root(exp_avg_sq, t - 1, group).mul(norm.add(first)), step_size)

        # update the second moment
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)


def _root(exp_avg_sq: T, age: Scalar, group: Group) -> T:
    """1 / eta: sqrt(v / (1 - beta2^age)) + eps; at age 0 nothing has been seen, and v is 0."""
    correction = 1 - group["betas"][1] ** age + number(age == 0, age)
    return exp_avg_sq.div(correction).sqrt_().add(group["eps"])


def _is_in_zero() -> bool:
    """Whether this optimizer is made by `ZeroRedundancyOptimizer`: nothing that it hands over tells."""
    module = sys.modules.get("torch.distributed.optim.zero_redundancy_optimizer")
    frame: FrameType | None = sys._getframe()
    while module and frame:
        if frame.f_code is module.ZeroRedundancyOptimizer._init_local_optimizer.__code__:
            return True
        frame = frame.f_back
    return False
