"""AvaGrad: Adam with a delayed denominator and a step that is normalised over all parameters.

Savarese, McAllester, Babu, Maire: Domain-independent Dominance of Adaptive Methods, CVPR 2021, Algorithm 2, with the
bias corrections of the authors' code. d is the number of parameters of the group, the norm is over all of them.

m_t = beta1 m_{t-1} + (1 - beta1) g_t
eta_t = 1 / (sqrt(v_{t-1} / (1 - beta2^(t-1))) + eps)
x_t = x_{t-1} - lr * m_t / (1 - beta1^t) * eta_t / ||eta_t / sqrt(d)||                   from t = 2
v_t = beta2 v_{t-1} + (1 - beta2) g_t^2
"""

from typing import Any, Unpack

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, Options, exact, number


class AvaGrad(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`; betas are the decay of the mean and of the second moment.

    eps decides how adaptive it is: large is close to SGD, small to Adam. The first step only fills the moments.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-1,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-1,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **options)

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        # the norm needs every tensor of the group before the first of them moves
        squares, d = 0.0, 0
        for step, v in zip(steps, columns[1], strict=True):
            v = torch.view_as_real(v) if v.is_complex() else v
            squares = squares + self._eta(v, exact(step) + 1, group).square().sum()
            d += v.numel()
        self._norm = (squares / d) ** 0.5
        super()._step_group(group, params, grads, steps, columns)

    @staticmethod
    def _eta(exp_avg_sq: Any, t: Any, group: Group) -> Any:
        first = number(t == 1, t)
        correction = 1 - group["betas"][1] ** (t - 1) + first
        return exp_avg_sq.div(correction).sqrt_().add(group["eps"] + (1 - group["eps"]) * first).reciprocal()

    def _update(self, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, group: Group, t: Any) -> None:
        beta1, beta2 = group["betas"]

        # update the mean
        exp_avg.lerp_(grad, 1 - beta1)

        # step by the mean over yesterday's root mean square
        step_size = group["lr"] * (1 - number(t == 1, t)) / (1 - beta1**t) / self._norm
        param.sub_(exp_avg.mul(self._eta(exp_avg_sq, t, group)).mul(step_size))

        # update the second moment
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
