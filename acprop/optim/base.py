"""What every optimizer of this package shares: checks, state, the choice of a path. A subclass adds its maths.

A subclass names its `state_tensors`, and has `_single(param, grad, state, step, group)` and
`_multi(params, grads, states, step, group)`, in which `step` counts from 1, gradients may be read but not written, and
`states` is a list of the parameters' state dicts. Both compute the same.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

State = dict[str, Any]
Group = dict[str, Any]


class AdaptiveOptimizer(Optimizer):
    state_tensors: tuple[str, ...] = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: ParamsT, defaults: Group) -> None:
        lr, betas, eps, weight_decay = (defaults[name] for name in ("lr", "betas", "eps", "weight_decay"))
        name = type(self).__name__
        _check(0 <= lr < math.inf, name, "lr", lr, "a number >= 0")
        _check(len(betas) == 2 and all(0 <= b < 1 for b in betas), name, "betas", betas, "two numbers in [0, 1)")
        _check(0 <= eps < math.inf, name, "eps", eps, "a number >= 0")
        _check(0 <= weight_decay < math.inf, name, "weight_decay", weight_decay, "a number >= 0")
        super().__init__(params, {**defaults, "betas": tuple(betas)})

    def __setstate__(self, state: State) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One optimization step; `closure`, if given, recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            foreach = group["foreach"]
            if foreach is None:
                foreach = all(p.device.type == "cuda" for p in params)
            buckets: dict[Any, list[Tensor]] = defaultdict(list)
            for p in params:
                if p.grad.is_sparse:
                    raise RuntimeError(
                        f"{type(self).__name__} does not take sparse gradients; use torch.optim.SparseAdam"
                    )
                state = self.state[p]
                if not state:
                    self._init_state(p, state, group)
                state["step"] += 1
                buckets[(p.device, p.dtype, int(state["step"])) if foreach else p].append(p)
            for bucket in buckets.values():
                self._advance(bucket, group, foreach)
        return loss

    def _init_state(self, p: Tensor, state: State, group: Group) -> None:
        state["step"] = torch.tensor(0.0)
        for name in self.state_tensors:
            state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)

    def _advance(self, params: list[Tensor], group: Group, foreach: bool) -> None:
        states = [self.state[p] for p in params]
        grads: list[Tensor] = [p.grad for p in params]  # type: ignore[misc]
        step = int(states[0]["step"])
        if group["maximize"]:
            grads = list(torch._foreach_neg(grads))
        if group["weight_decay"] and group["decoupled_weight_decay"]:
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"]:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        if foreach:
            self._multi(params, grads, states, step, group)
        else:
            self._single(params[0], grads[0], states[0], step, group)

    def _single(self, param: Tensor, grad: Tensor, state: State, step: int, group: Group) -> None:
        raise NotImplementedError

    def _multi(self, params: list[Tensor], grads: list[Tensor], states: list[State], step: int, group: Group) -> None:
        raise NotImplementedError


def column(states: Iterable[State], name: str) -> list[Tensor]:
    return [state[name] for state in states]


def _check(condition: bool, optimizer: str, argument: str, value: Any, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{optimizer}: {argument}={value} is not possible, it must be {allowed}")
