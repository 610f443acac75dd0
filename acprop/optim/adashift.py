"""AdaShift: the second moment of gradients n steps old. Zhou et al., ICLR 2019.

v_t = beta2 v_{t-1} + (1 - beta2) phi(g_{t-n}^2)                    phi: the maximum over the tensor, or identity
m_t = sum_{i<n} beta1^i g_{t-i} / sum_{i<n} beta1^i
x_t = x_{t-1} - lr * m_t / (sqrt(v_t / (1 - beta2^(t-n))) + eps)    from t = n + 1; no step before

The class in the ACProp repository, which ran the paper's cells, takes up the mean at t = n + 1 only, and forgets the
first n gradients all the same (variant="script"):

m_t = beta1 (m_{t-1} - beta1^(n-1) g_{t-n} / w) + g_t / w           m_n = 0, w = sum_{i<n} beta1^i
"""

from typing import Any, Literal, Unpack

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Group, Options, TensorList, descend, number


class AdaShift(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`, and

    betas: weight of older gradients in the mean of the last n, and decay of the second moment.
    keep_num: n, how many gradients are kept; the first n steps only fill the memory.
    reduce: "max" for one second moment a tensor, the published choice, or None for one a coordinate.
    variant: "paper", or "script", what the ACProp authors ran: on constant gradients and with n = 10 its first three
        steps are 0.10, 0.19 and 0.27 of the paper's, and what it never added fades as beta1^t.
    """

    state_names = ("exp_avg", "exp_avg_sq", "grads")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        *,
        keep_num: int = 10,
        reduce: Literal["max"] | None = "max",
        variant: Literal["paper", "script"] = "paper",
        **options: Unpack[Options],
    ) -> None:
        self._require(keep_num >= 1, "keep_num", keep_num, "a whole number >= 1")
        self._require(reduce in ("max", None), "reduce", reduce, "'max' or None")
        self._require(variant in ("paper", "script"), "variant", variant, "paper or script")
        super().__init__(
            params, lr, betas, eps, weight_decay, keep_num=keep_num, reduce=reduce, variant=variant, **options
        )

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        super()._init_state(p, state, group)
        zeros = state["exp_avg"]
        state["grads"] = zeros.new_zeros(group["keep_num"], *p.shape)  # a ring: gradient t is in slot t % keep_num
        if group["reduce"]:
            state["exp_avg_sq"] = torch.view_as_real(zeros).new_zeros(()) if p.is_complex() else zeros.new_zeros(())

    def _update(self, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, grads: Any, group: Group, t: Any) -> None:
        beta1, beta2 = group["betas"]
        n = group["keep_num"]
        weights = sum(beta1**i for i in range(n))
        oldest = _read(grads, t % n)
        old = number(t > n, t)  # whether there is a gradient n steps old

        # the mean of the last n gradients: forget the one n steps old, take in today's
        taken = 1.0 if group["variant"] == "paper" else old
        exp_avg.sub_(oldest.mul(beta1 ** (n - 1) / weights)).mul_(beta1).add_(grad.mul(taken / weights))

        # update the second moment with the gradient n steps old
        square = oldest.norm(torch.inf).pow(2) if group["reduce"] else oldest.mul(oldest)
        exp_avg_sq.mul_(1 - (1 - beta2) * old).add_(square.mul((1 - beta2) * old))

        # step by the mean over the shifted root mean square
        rms = exp_avg_sq.div(1 - beta2 ** ((t - n) * old) + (1 - old)).sqrt_().add(group["eps"] + (1 - old))
        descend(param, exp_avg, rms, group["lr"] * old)

        _write(grads, t % n, grad)


def _read(ring: Any, slot: Any) -> Any:
    if isinstance(ring, TensorList):
        return TensorList([one[int(slot)] for one in ring])
    if isinstance(slot, Tensor):
        return ring.index_select(0, slot.long().view(1)).squeeze(0)
    return ring[int(slot)]


def _write(ring: Any, slot: Any, grad: Any) -> None:
    if isinstance(ring, TensorList):
        _read(ring, slot).copy_(grad)
    elif isinstance(slot, Tensor):
        ring.index_copy_(0, slot.long().view(1), grad.unsqueeze(0))
    else:
        ring[int(slot)] = grad
