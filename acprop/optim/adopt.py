"""ADOPT: Adam that converges with any beta2. Taniguchi et al., NeurIPS 2024, Algorithm 2 and the authors' clipping.

v_0 = g_0^2                                                                 no step
m_t = beta1 m_{t-1} + (1 - beta1) clip(g_t / max(sqrt(v_{t-1}), eps), t^clip_power)
x_t = x_{t-1} - lr * m_t
v_t = beta2 v_{t-1} + (1 - beta2) g_t^2
"""

from typing import Unpack

from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, Options, add_scaled, number
from acprop.optim.tensors import Scalar, T


class ADOPT(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`, and

    betas: decay of the mean of normalised gradients and of the second moment.
    clip_power: a normalised gradient is clipped to +-t^clip_power, t counted from 0; the authors' 1/4, or None.

    The first step only fills the second moment.
    """

    decays_from = 2

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.9999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        clip_power: float | None = 0.25,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, clip_power=clip_power, **options)

    def _check(self, group: Group) -> None:
        super()._check(group)
        power = group["clip_power"]
        self._require(power is None or power >= 0, "clip_power", power, "None or a number >= 0")

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        exp_avg, exp_avg_sq = state
        beta1, beta2 = group["betas"]
        first = number(t == 1, t)

        # update the mean of gradients over yesterday's root mean square
        normalised = grad.div(exp_avg_sq.sqrt().clamp_min(group["eps"]))
        if group["clip_power"] is not None:
            bound = (t - 1) ** group["clip_power"]
            normalised = normalised.clamp_min(-bound).clamp_max(bound)
        exp_avg.add_(normalised.sub(exp_avg).mul((1 - beta1) * (1 - first)))

        # step by the mean
        add_scaled(param, exp_avg, -group["lr"])

        # update the second moment
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad.mul(1 - beta2 + beta2 * first))
