r"""ACProp: divides the gradient by yesterday's centred second moment.

Zhuang, Ding, Tang, Dvornek, Tatikonda, Duncan: Momentum Centering and Asynchronous Update for Adaptive Gradient
Methods, NeurIPS 2021. What is computed here is what the authors' training script computes (`rectify=False`), held to
their class's own trajectories to 1e-12 in tests/.

    g_t  gradient at x_{t-1}, plus weight_decay * x_{t-1}
    x_t = x_{t-1} - lr * g_t                                                     at t = 1
    s'  = s_{t-1} + eps                                                          from t = 2; s' replaces s_{t-1}
    x_t = x_{t-1} - lr * g_t / (sqrt(s' / (1 - beta2^(t-1))) + eps)
    m_t = beta1 * m_{t-1} + (1 - beta1) * g_t
    s_t = beta2 * s' + (1 - beta2) * (g_t - m_t)^2
"""

import math

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, State, column


class ACProp(AdaptiveOptimizer):
    """ACProp as the authors' training script runs it.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate.
        betas: decay of the mean and of the centred second moment. beta1 = 0 is refused: the mean would be the
            gradient itself, the residual zero, and steps would grow without bound.
        eps: added to the second moment before each use, and kept in it, so that it settles at eps / (1 - beta2) where
            gradients are zero; and added to the denominator.
        weight_decay: L2 penalty, added to the gradient as `torch.optim.Adam` does.
        decoupled_weight_decay: shrink the parameters by lr * weight_decay instead, as `torch.optim.AdamW` does.
        maximize: ascend.
        foreach: many tensors per call; None: where it is faster, on CUDA.

    Raises:
        ValueError: for a hyper-parameter out of range.

    The first step is plain SGD, x_1 = x_0 - lr * g_1: scaling the loss scales it.
    """

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
        if betas[0] == 0:
            raise ValueError(
                f"ACProp: betas={tuple(betas)} is not possible: with beta1 = 0 the mean is the gradient itself, the "
                f"centred second moment is zero and steps explode; use beta1 > 0 (0.9)"
            )
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _single(self, param: Tensor, grad: Tensor, state: State, step: int, group: Group) -> None:
        exp_avg, exp_avg_var = state["exp_avg"], state["exp_avg_var"]
        beta1, beta2 = group["betas"]

        # step by the gradient over yesterday's deviation
        if step == 1:
            param.add_(grad, alpha=-group["lr"])
        else:
            exp_avg_var.add_(group["eps"])
            denom = exp_avg_var.sqrt().div_(math.sqrt(1 - beta2 ** (step - 1))).add_(group["eps"])
            param.addcdiv_(grad, denom, value=-group["lr"])

        # update the mean, then the second moment around it
        exp_avg.lerp_(grad, 1 - beta1)
        residual = grad - exp_avg
        exp_avg_var.mul_(beta2).addcmul_(residual, residual, value=1 - beta2)

    def _multi(self, params: list[Tensor], grads: list[Tensor], states: list[State], step: int, group: Group) -> None:
        exp_avgs, exp_avg_vars = column(states, "exp_avg"), column(states, "exp_avg_var")
        beta1, beta2 = group["betas"]

        # step by the gradient over yesterday's deviation
        if step == 1:
            torch._foreach_add_(params, grads, alpha=-group["lr"])
        else:
            torch._foreach_add_(exp_avg_vars, group["eps"])
            denoms = torch._foreach_sqrt(exp_avg_vars)
            torch._foreach_div_(denoms, math.sqrt(1 - beta2 ** (step - 1)))
            torch._foreach_add_(denoms, group["eps"])
            torch._foreach_addcdiv_(params, grads, denoms, value=-group["lr"])

        # update the mean, then the second moment around it
        torch._foreach_lerp_(exp_avgs, grads, 1 - beta1)
        residuals = torch._foreach_sub(grads, exp_avgs)
        torch._foreach_mul_(exp_avg_vars, beta2)
        torch._foreach_addcmul_(exp_avg_vars, residuals, residuals, value=1 - beta2)
