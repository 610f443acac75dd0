"""LaProp: the mean of normalised gradients. Ziyin, Wang, Ueda: LaProp, arXiv 2002.04839, Algorithm 1.

v_t = beta2 v_{t-1} + (1 - beta2) g_t^2
m_t = beta1 m_{t-1} + (1 - beta1) g_t / (sqrt(v_t / (1 - beta2^t)) + eps)
x_t = x_{t-1} - lr * m_t / (1 - beta1^t)
"""

from typing import Any, Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, Options


class LaProp(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`; betas are the decay of the mean of steps and of the second moment."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 4e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **options)

    def _update(self, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, group: Group, t: Any) -> None:
        beta1, beta2 = group["betas"]

        # update the second moment
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)

        # update the mean of normalised gradients
        rms = exp_avg_sq.div(1 - beta2**t).sqrt_().add(group["eps"])
        exp_avg.lerp_(grad.div(rms), 1 - beta1)

        # step by the mean
        param.sub_(exp_avg.mul(group["lr"] / (1 - beta1**t)))
