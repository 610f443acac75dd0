"""What the kernels of a fused ACProp know: where tensors lie, and the numbers of a step."""

import math
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from acprop.optim.base import Group, number


class Memory(NamedTuple):
    """Parameters of one group, type and device, and what belongs to them."""

    group: Group
    variant: Callable[..., Any]  # coefficients of a step, of `VARIANTS` in acprop.py
    dtype: torch.dtype
    device: torch.device
    params: list[Tensor]
    steps: list[Tensor]
    words: list[array]  # addresses of params, grads, exp_avgs, exp_avg_vars, max_exp_avg_vars, low_bits; sizes


def scalars(memory: Memory, lr: Any, t: Any) -> tuple[Any, ...]:
    """The numbers of step `t`, in the order of `Scalars` in fused.cpp: floats, or tensors like `t`."""
    group = memory.group
    c = memory.variant(t, group)
    weight_decay, decoupled = group["weight_decay"], group["decoupled_weight_decay"]
    return (
        lr * (1 - number(t == 1, t)) if group["skip_first_step"] else lr,
        {False: 1.0, True: 1 - lr * weight_decay, "fixed": 1 - weight_decay}[decoupled],
        0.0 if decoupled else weight_decay,
        -1.0 if group["maximize"] else 1.0,
        *group["betas"],
        math.inf if group["clip_update"] is None else group["clip_update"],
        c.from_grad, c.from_mean, c.keep, c.scale, c.under_root, c.offset,
    )  # fmt: skip
