"""AdaShift: the second moment of gradients n steps old. Zhou et al., ICLR 2019.

v_t = beta2 v_{t-1} + (1 - beta2) phi(g_{t-n}^2)                    phi: the maximum over the tensor, or identity
m_t = sum_{i<n} beta1^i g_{t-i} / sum_{i<n} beta1^i
x_t = x_{t-1} - lr * m_t / (sqrt(v_t / (1 - beta2^k)) + eps)        from t = n + 1 and v_t > 0; no step before

k counts the steps since v became positive, as in the code of Zhou et al.: t - n unless gradients begin with zeros.
The class in the ACProp repository (variant="script"), which ran that paper's cells, has k = t - n throughout, takes up
the mean at t = n + 1 only, and forgets the first n gradients all the same:

m_t = beta1 (m_{t-1} - beta1^(n-1) g_{t-n} / w) + g_t / w           m_n = 0, w = sum_{i<n} beta1^i
"""

from typing import Any, Literal, Unpack

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import TINY, AdaptiveOptimizer, Group, Options, add_scaled, is_recorded, number
from acprop.optim.tensors import Scalar, T, TensorList, largest


class AdaShift(AdaptiveOptimizer):
    """Arguments as in `AdaptiveOptimizer`, and

    betas: weight of older gradients in the mean of the last n, and decay of the second moment.
    keep_num: n, how many gradients are kept; the first n steps only fill the memory.
    reduce: "max" for one second moment a tensor, the published choice, or None for one a coordinate.
    variant: "paper", or "script", what the ACProp authors ran: on constant gradients and with n = 10 its first three
        steps are 0.10, 0.19 and 0.27 of the paper's, and what it never added fades as beta1^t.
    """

    state_names = ("exp_avg", "exp_avg_sq", "beta2_power", "grads")

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
        super().__init__(
            params, lr, betas, eps, weight_decay, keep_num=keep_num, reduce=reduce, variant=variant, **options
        )

    def _check(self, group: Group) -> None:
        super()._check(group)
        self._require(group["keep_num"] >= 1, "keep_num", group["keep_num"], "a whole number >= 1")
        self._require(group["reduce"] in ("max", None), "reduce", group["reduce"], "'max' or None")
        self._require(group["variant"] in ("paper", "script"), "variant", group["variant"], "paper or script")

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        super()._init_state(p, state, group)
        zeros = state["exp_avg"]
        # a ring: gradient t is in slot t % keep_num. Stacked, so that it is sharded as the parameter is
        state["grads"] = torch.stack([zeros] * group["keep_num"])
        if group["reduce"]:
            state["exp_avg_sq"] = zeros = torch.zeros((), dtype=zeros.real.dtype, device=p.device)
        state["beta2_power"] = torch.ones_like(zeros)

    def _needs_whole(self, group: Group) -> bool:
        return group["reduce"] is not None

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        if group["reduce"]:  # over whole tensors, before shards are stepped on alone
            ages = steps if is_recorded(group, steps) else [step.item() for step in steps]
            slots = [(age + 1) % group["keep_num"] for age in ages]
            peaks = largest([_read(ring, slot) for ring, slot in zip(columns[3], slots, strict=True)])
            columns = [*columns[:4], peaks, *columns[4:]]
        super()._step_group(group, params, grads, steps, columns)

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        exp_avg, exp_avg_sq, beta2_power, grads = state[:4]
        beta1, beta2 = group["betas"]
        n = group["keep_num"]
        weights = sum(beta1**i for i in range(n))
        oldest = _read(grads, t % n)
        old = number(t > n, t)  # whether there is a gradient n steps old

        # the mean of the last n gradients: forget the one n steps old, take in today's
        exp_avg.add_(oldest, alpha=-(beta1 ** (n - 1)) / weights).mul_(beta1)
        add_scaled(exp_avg, grad, (1.0 if group["variant"] == "paper" else old) / weights)

        # update the second moment with the gradient n steps old
        size = state[4] if group["reduce"] else oldest
        exp_avg_sq.mul_(1 - (1 - beta2) * old).add_(size.mul(size).mul((1 - beta2) * old))

        # step by the mean over the shifted root mean square
        if group["variant"] == "paper":
            with torch.no_grad():
                seen = exp_avg_sq.sign()
                beta2_power.addcmul_(beta2_power, seen, value=beta2 - 1)
                correction = beta2_power.add(seen).neg().add(2.0)  # 1 where nothing is seen
            rms = exp_avg_sq.div(correction).sqrt().add(group["eps"])
            rate = seen.div(rms.clamp_min(TINY))
        else:
            rms = exp_avg_sq.div(1 - beta2 ** ((t - n) * old) + (1 - old)).sqrt().add(group["eps"] + (1 - old))
            rate = rms.reciprocal()
        add_scaled(param, exp_avg.mul(rate), -group["lr"] * old)

        _write(grads, t % n, grad)


def _read(ring: T, slot: Scalar) -> T:
    if isinstance(ring, TensorList):
        return TensorList([one[int(slot)] for one in ring])
    if isinstance(slot, Tensor):
        return ring.index_select(0, slot.long().view(1)).squeeze(0)
    return ring[int(slot)]


def _write(ring: T, slot: Scalar, grad: T) -> None:
    if isinstance(ring, TensorList):
        _read(ring, slot).copy_(grad)
    elif isinstance(slot, Tensor):
        ring.index_copy_(0, slot.long().view(1), grad.unsqueeze(0))
    else:
        ring[int(slot)].copy_(grad)
