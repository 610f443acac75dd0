"""AdaBelief: Adam around the mean. Zhuang et al., NeurIPS 2020; without rectification, eps inside and outside the root.

m_t = beta1 m_{t-1} + (1 - beta1) g_t
s_t = beta2 s_{t-1} + (1 - beta2) (g_t - m_t)^2 + eps
x_t = x_{t-1} - lr * m_t / (1 - beta1^t) / (sqrt(s_t / (1 - beta2^t)) + eps)
"""

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, Options, descend
from acprop.optim.tensors import Scalar, T


class AdaBelief(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`; betas are the decay of the mean and of the second moment around it."""

    state_names = ("exp_avg", "exp_avg_var")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **options)

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        exp_avg, exp_avg_var = state
        beta1, beta2 = group["betas"]

        # update the mean
        exp_avg.lerp_(grad, 1 - beta1)

        # update the second moment around the mean
        residual = grad.sub(exp_avg)
        exp_avg_var.mul_(beta2).addcmul_(residual, residual, value=1 - beta2).add_(group["eps"])

        # step by the mean over today's deviation
        deviation = exp_avg_var.div(1 - beta2**t).sqrt_().add(group["eps"])
        descend(param, exp_avg, deviation, group["lr"] / (1 - beta1**t))

    def eps_floor(self, group: Group) -> float:
        """Kept in the state, eps alone takes the second moment to eps / (1 - beta2)."""
        return 2 * group["eps"] / (1 - group["betas"][1])
