"""LaProp: the mean of normalised gradients. Ziyin, Wang, Ueda: LaProp, arXiv 2002.04839, Algorithm 1.

v_t = beta2 v_{t-1} + (1 - beta2) g_t^2
m_t = beta1 m_{t-1} + (1 - beta1) lr_t g_t / (sqrt(v_t / (1 - beta2^t)) + eps)
l_t = beta1 l_{t-1} + (1 - beta1) lr_t
x_t = x_{t-1} - lr_t * m_t / l_t                        the authors' code: gradients weigh as the lr of their step
x_t = x_{t-1} - m_t / (1 - beta1^t), lr_t outside m_t   the paper: all alike

With a constant lr both are one. After a drop of lr, the code's mean is that of the large steps for a while.
"""

from typing import Any, Literal, Unpack

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import TINY, AdaptiveOptimizer, Group, Options, add_scaled, descend
from acprop.optim.tensors import Scalar, T, TensorList, share


class LaProp(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`, and

    betas: decay of the mean of steps and of the second moment.
    variant: "script", the authors' code, where the mean is of lr times normalised gradient; "paper", where lr is
        outside. At lr 0 no variant moves (the authors' code then steps by the mean as it stands).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 4e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        *,
        variant: Literal["script", "paper"] = "script",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, variant=variant, **options)

    def _check(self, group: Group) -> None:
        super()._check(group)
        self._require(group["variant"] in ("script", "paper"), "variant", group["variant"], "script or paper")

    def _names(self, group: Group) -> tuple[str, ...]:
        mean, square, *others = super()._names(group)
        return (mean, square, *(["exp_avg_lr"] if group["variant"] == "script" else []), *others)

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        super()._init_state(p, state, group)
        if group["variant"] == "script":
            zeros = state["exp_avg"]
            state["exp_avg_lr"] = (torch.view_as_real(zeros) if zeros.is_complex() else zeros).new_zeros(())

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        if group["variant"] == "script":
            beta1 = group["betas"][0]
            averages = TensorList(share((average, average))[0] for average in columns[2])
            averages.mul_(beta1).add_((1 - beta1) * group["lr"])
        super()._step_group(group, params, grads, steps, columns)

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        exp_avg, exp_avg_sq = state[:2]
        beta1, beta2 = group["betas"]

        # update the second moment
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)

        # update the mean of normalised gradients
        rms = exp_avg_sq.div(1 - beta2**t).sqrt_().add(group["eps"])
        if group["variant"] == "paper":
            exp_avg.lerp_(grad.div(rms), 1 - beta1)
        else:
            add_scaled(exp_avg.mul_(beta1), grad.div(rms), (1 - beta1) * group["lr"])

        # step by the mean
        if group["variant"] == "paper":
            add_scaled(param, exp_avg, -group["lr"] / (1 - beta1**t))
        else:
            descend(param, exp_avg, state[2].clamp_min(TINY), group["lr"])
