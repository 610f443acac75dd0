"""AdaBelief: Adam around the mean. Zhuang et al., NeurIPS 2020; without rectification, eps inside and outside the root.

m_t = beta1 * m_{t-1} + (1 - beta1) * g_t
s_t = beta2 * s_{t-1} + (1 - beta2) * (g_t - m_t)^2 + eps
x_t = x_{t-1} - lr / (1 - beta1^t) * m_t / (sqrt(s_t / (1 - beta2^t)) + eps)
"""

import math

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, State, column


class AdaBelief(AdaptiveOptimizer):
    """Arguments as in `ACProp`."""

    state_tensors = ("exp_avg", "exp_avg_var")

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _single(self, param: Tensor, grad: Tensor, state: State, step: int, group: Group) -> None:
        exp_avg, exp_avg_var = state["exp_avg"], state["exp_avg_var"]
        beta1, beta2 = group["betas"]

        # update the mean, then the second moment around it
        exp_avg.lerp_(grad, 1 - beta1)
        residual = grad - exp_avg
        exp_avg_var.mul_(beta2).addcmul_(residual, residual, value=1 - beta2).add_(group["eps"])

        # step by the mean over today's deviation
        denom = exp_avg_var.sqrt().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        param.addcdiv_(exp_avg, denom, value=-group["lr"] / (1 - beta1**step))

    def _multi(self, params: list[Tensor], grads: list[Tensor], states: list[State], step: int, group: Group) -> None:
        exp_avgs, exp_avg_vars = column(states, "exp_avg"), column(states, "exp_avg_var")
        beta1, beta2 = group["betas"]

        # update the mean, then the second moment around it
        torch._foreach_lerp_(exp_avgs, grads, 1 - beta1)
        residuals = torch._foreach_sub(grads, exp_avgs)
        torch._foreach_mul_(exp_avg_vars, beta2)
        torch._foreach_addcmul_(exp_avg_vars, residuals, residuals, value=1 - beta2)
        torch._foreach_add_(exp_avg_vars, group["eps"])

        # step by the mean over today's deviation
        denoms = torch._foreach_sqrt(exp_avg_vars)
        torch._foreach_div_(denoms, math.sqrt(1 - beta2**step))
        torch._foreach_add_(denoms, group["eps"])
        torch._foreach_addcdiv_(params, exp_avgs, denoms, value=-group["lr"] / (1 - beta1**step))
