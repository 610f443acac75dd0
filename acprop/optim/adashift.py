"""AdaShift: the second moment of gradients n steps old. Zhou et al., ICLR 2019.

v_t = beta2 * v_{t-1} + (1 - beta2) * phi(g_{t-n}^2)                    phi: the maximum over the tensor, or identity
m_t = sum_{i<n} beta1^i g_{t-i} / sum_{i<n} beta1^i
x_t = x_{t-1} - lr * m_t / (sqrt(v_t / (1 - beta2^(t-n))) + eps)        from t = n + 1; no step before
"""

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, State, column


class AdaShift(AdaptiveOptimizer):
    """Arguments as in `ACProp`, and

    keep_num: n, how many gradients are kept; the first n steps only fill the memory.
    reduce: "max" for one second moment a tensor, the published choice, or None for one a coordinate.
    """

    state_tensors = ("exp_avg",)

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        *,
        keep_num: int = 10,
        reduce: str | None = "max",
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
    ) -> None:
        if keep_num < 1:
            raise ValueError(f"AdaShift: keep_num={keep_num} is not possible, it must be a whole number >= 1")
        if reduce not in ("max", None):
            raise ValueError(f"AdaShift: reduce={reduce!r} is not possible, it must be 'max' or None")
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "keep_num": keep_num, "reduce": reduce,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, state: State, group: Group) -> None:
        super()._init_state(p, state, group)
        state["grads"] = p.new_zeros(group["keep_num"], *p.shape)  # a ring: gradient t is in slot t % keep_num
        state["exp_avg_sq"] = p.new_zeros(()) if group["reduce"] else torch.zeros_like(p)

    def _single(self, param: Tensor, grad: Tensor, state: State, step: int, group: Group) -> None:
        self._multi([param], [grad], [state], step, group)

    def _multi(self, params: list[Tensor], grads: list[Tensor], states: list[State], step: int, group: Group) -> None:
        exp_avgs, exp_avg_sqs = column(states, "exp_avg"), column(states, "exp_avg_sq")
        beta1, beta2 = group["betas"]
        n = group["keep_num"]
        weights = sum(beta1**i for i in range(n))
        oldest = [state["grads"][step % n] for state in states]

        # the mean of the last n gradients: forget the one n steps old, take in today's
        torch._foreach_add_(exp_avgs, oldest, alpha=-(beta1 ** (n - 1)) / weights)
        torch._foreach_mul_(exp_avgs, beta1)
        torch._foreach_add_(exp_avgs, grads, alpha=1 / weights)

        if step > n:
            # update the second moment with the gradient n steps old
            if group["reduce"]:
                squares = torch._foreach_pow(torch._foreach_norm(oldest, torch.inf), 2)
            else:
                squares = torch._foreach_mul(oldest, oldest)
            torch._foreach_lerp_(exp_avg_sqs, squares, 1 - beta2)

            # step by the mean over the shifted deviation
            denoms = torch._foreach_div(exp_avg_sqs, 1 - beta2 ** (step - n))
            torch._foreach_sqrt_(denoms)
            torch._foreach_add_(denoms, group["eps"])
            torch._foreach_add_(params, torch._foreach_div(exp_avgs, denoms), alpha=-group["lr"])

        torch._foreach_copy_(oldest, grads)
