"""What every optimizer of this package shares: checks, state, decay, the walk over groups. A subclass adds its maths.

A subclass names its state (`state_names`, or `_names` where that hangs on the group) and has one method,
`_update(param, grad, *state, group, t)`, which holds the maths once for every path. Its tensors are either `Tensor`s
(one parameter at a time) or `TensorList`s (many parameters a call), and `t`, the step counted from 1, is a float, or a
0-dim tensor where the step must not be read by Python (`capturable`, `differentiable`, inside `torch.compile`). So a
coefficient that differs at some steps is written as arithmetic on `t`, never as `if`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, TypedDict

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT, _use_grad_for_differentiable

from acprop.optim.tensors import (
    LOW_PRECISION,
    Row,
    Scalar,
    T,
    TensorList,
    are_plain,
    as_real,
    chunks,
    is_flattened,
    is_plain,
    join,
    no_low_bits,
    share,
    split_,
    whole,
)

Group: TypeAlias = dict[str, Any]
TINY = torch.finfo(torch.float32).tiny  # for denominators that may be 0 where the numerator is
Decay: TypeAlias = bool | Literal["fixed"]


class Options(TypedDict, total=False):
    """What every optimizer takes by keyword; see `AdaptiveOptimizer`."""

    decoupled_weight_decay: Decay
    maximize: bool
    foreach: bool | None
    capturable: bool
    differentiable: bool
    kahan_sum: bool


class AdaptiveOptimizer(Optimizer):
    """Arguments that all optimizers of this package take.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate; a tensor of one element is taken too.
        betas: two decay rates in [0, 1); which averages they belong to, the optimizer says. 1-element tensors are
            read once.
        eps: keeps denominators from zero; where it enters, the optimizer says.
        weight_decay: strength of the decay.
        decoupled_weight_decay: False adds weight_decay * param to the gradient, as `torch.optim.Adam` does; True
            multiplies the parameters by 1 - lr * weight_decay instead, as `torch.optim.AdamW` does; "fixed" by
            1 - weight_decay, whatever the lr.
        maximize: ascend.
        foreach: many tensors a call; None: unless `differentiable`. False obeys.
        capturable: never read the step from Python, so that a CUDA graph can hold it.
        differentiable: let autograd record the step.
        kahan_sum: keep beside each bfloat16 or float16 parameter the bits that it lacks of a float32 (two bytes each),
            so that steps smaller than its rounding add up: bfloat16 parameters are a float32's, rounded.

    Parameters in bfloat16 or float16 keep float32 state. The gradient is never modified. The first step of new
    parameters is none where lr and all gradients are zero: `torch.distributed.checkpoint` makes state so.

    Raises:
        ValueError: for a hyper-parameter out of range, in the constructor or in a group.
        RuntimeError: at `step`, for a sparse gradient.
    """

    state_names: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    decays_from = 1  # the first step with decoupled decay

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        *,
        decoupled_weight_decay: Decay = False,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        kahan_sum: bool = False,
        **own: Any,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **own,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable, "kahan_sum": kahan_sum,
        }  # fmt: skip
        self._check(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group, whose hyper-parameters are checked as the constructor's."""
        given = {**self.defaults, **param_group}
        self._check(given)
        if "betas" in param_group:
            param_group["betas"] = given["betas"]
        super().add_param_group(param_group)
        if self._needs_whole(given) and any(map(is_flattened, param_group["params"])):
            self.param_groups.pop()
            raise ValueError(
                f"{type(self).__name__}: not with FullyShardedDataParallel, which hands over flat pieces, while the "
                "step hangs on whole tensors; use FSDP2 (fully_shard) or DDP"
            )

    def _check(self, group: Group) -> None:
        """Refuses what is out of range; betas become two floats."""
        lr, betas = group["lr"], group["betas"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(f"{type(self).__name__}: Tensor lr must be 1-element, this one has {lr.numel()}")
        self._require(0 <= (lr.item() if isinstance(lr, Tensor) else lr) < math.inf, "lr", lr, "a number >= 0")
        single = all(not isinstance(b, Tensor) or b.numel() == 1 for b in betas)
        self._require(
            single and len(betas) == 2 and all(0 <= float(b) < 1 for b in betas),
            "betas", betas, "two numbers in [0, 1)",
        )  # fmt: skip
        group["betas"] = tuple(map(float, betas))
        self._require(0 <= group["eps"] < math.inf, "eps", group["eps"], "a number >= 0")
        self._require(0 <= group["weight_decay"] < math.inf, "weight_decay", group["weight_decay"], "a number >= 0")
        self._require(
            group["decoupled_weight_decay"] in (False, True, "fixed"),
            "decoupled_weight_decay", group["decoupled_weight_decay"], "False, True or 'fixed'",
        )  # fmt: skip
        for other in ("foreach", "kahan_sum"):
            self._require(
                not (group[other] and group["differentiable"]), other, group[other], "off with differentiable=True"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Older pickles and state dicts may lack hyper-parameters, and hold the step as a number."""
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)
        for entry in self.state.values():
            if "step" in entry and not isinstance(entry["step"], Tensor):
                entry["step"] = torch.tensor(float(entry["step"]), dtype=torch.float32)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; but state of low-precision parameters, which torch casts to their dtype, stays as it was saved.

        Between hooks: the last before loading sees what all others made of the dict, the first after it mends the
        state before any other sees it.
        """
        loaded: dict[str, Any] = {}
        before = self.register_load_state_dict_pre_hook(lambda _, given: loaded.update(given))
        after = self.register_load_state_dict_post_hook(lambda _: self._restore_precision(loaded), prepend=True)
        try:
            super().load_state_dict(state_dict)
        finally:
            before.remove()
            after.remove()

    def _restore_precision(self, loaded: dict[str, Any]) -> None:
        keys = [key for group in loaded["param_groups"] for key in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for key, p in zip(keys, params, strict=True):
            if p.dtype not in LOW_PRECISION:
                continue
            for name, value in loaded["state"].get(key, {}).items():
                if isinstance(value, Tensor) and name != "step":
                    dtype = value.dtype if name == "low_bits" else torch.float32
                    self.state[p][name] = value.to(device=p.device, dtype=dtype)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One optimization step; `closure`, if given, recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params: list[Tensor] = []
            grads: list[Tensor] = []
            steps: list[Tensor] = []
            columns: list[list[Tensor]] = [[] for _ in self._names(group)]
            rehearsal = self._is_rehearsal(group)
            self._init_group(group, params, grads, steps, *columns)
            if isinstance(group["lr"], Tensor) and group["lr"].dim():
                group = {**group, "lr": group["lr"].reshape(())}
            if params and not rehearsal:
                self._step_group(group, params, grads, steps, columns)
        return loss

    def _names(self, group: Group) -> tuple[str, ...]:
        """The state of each parameter, in the order in which `_update` takes it; `low_bits` is not the maths'."""
        return (*self.state_names, "low_bits") if group["kahan_sum"] else self.state_names

    def _is_rehearsal(self, group: Group) -> bool:
        """Whether nothing was asked but state: lr 0, new parameters, zero gradients. Cheap where lr is not 0."""
        lr = group["lr"]
        if torch.compiler.is_compiling() or (isinstance(lr, Tensor) and (lr.requires_grad or lr.device.type != "cpu")):
            return False
        return float(lr) == 0 and all(
            p.grad is None or not (p.grad.is_sparse or self.state.get(p) or whole(p.grad.detach().abs().sum()).item())
            for p in group["params"]
        )

    def _init_group(
        self, group: Group, params: list[Tensor], grads: list[Tensor], steps: list[Tensor], *columns: list[Tensor]
    ) -> None:
        """Fills the lists with what this group steps on. `torch.compile` knows this method by its name."""
        states = []
        for p in group["params"]:
            grad = p.grad
            if grad is None or not p.numel():
                continue
            if grad.is_sparse:
                raise RuntimeError(f"{type(self).__name__} does not take sparse gradients; use torch.optim.SparseAdam")
            state = self.state[p]
            if not state:
                on = p.device if group["capturable"] else "cpu"
                state["step"] = torch.tensor(0.0, dtype=torch.float32, device=on)
                self._init_state(p, state, group)
                if group["kahan_sum"]:
                    state["low_bits"] = no_low_bits(p)
            params.append(p)
            grads.append(grad)
            states.append(state)
        # column by column: with thousands of small parameters this is a part of the step
        for name, column in zip(("step", *self._names(group)), (steps, *columns), strict=True):
            column.extend([state[name] for state in states])

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        for name in self.state_names:
            state[name] = torch.zeros_like(p, dtype=_state_dtype(p), memory_format=torch.preserve_format)

    def _needs_whole(self, group: Group) -> bool:
        """Whether a step hangs on more than each element alone."""
        return False

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        rows: list[Row] = list(zip(params, grads, *columns, strict=True))
        lr = group["lr"]
        if not group["differentiable"] and not are_plain(params):
            rows = list(map(share, rows))
        if is_recorded(group, steps):
            group = {**group, "lr": exact(lr) if isinstance(lr, Tensor) else lr}
            for step, row in zip(steps, rows, strict=True):
                step += 1
                self._step_portion(group, exact(step), [row])
            return
        group = {**group, "lr": float(lr)}
        torch._foreach_add_(steps, 1)
        alike: dict[tuple[float, torch.device, torch.dtype, bool], list[Row]] = defaultdict(list)
        for step, row in zip(steps, rows, strict=True):
            alike[step.item(), row[0].device, row[0].dtype, are_plain(row)].append(row)
        for (t, *_), bucket in alike.items():
            for portion in self._portions(group, bucket):
                self._step_portion(group, t, portion)

    def _portions(self, group: Group, rows: list[Row]) -> Iterable[list[Row]]:
        """Rows of one device, dtype and age, in what is stepped on together."""
        together = group["foreach"] is not False and are_plain(rows[0])
        return chunks(rows) if together else ([row] for row in rows)

    def _step_portion(self, group: Group, t: Scalar, rows: list[Row]) -> None:
        if not group["kahan_sum"]:
            self._step_rows(group, t, rows)
            return
        params, low_bits = [row[0] for row in map(as_real, rows)], [row[-1] for row in rows]
        rows = [row[:-1] for row in map(as_real, rows)]
        if params[0].dtype not in LOW_PRECISION:
            self._step_rows(group, t, rows)
            return
        masters = list(map(join, params, low_bits))
        self._step_rows(group, t, [(master, *row[1:]) for master, row in zip(masters, rows, strict=True)])
        for master, param, low in zip(masters, params, low_bits, strict=True):
            split_(master, param, low)

    def _step_rows(self, group: Group, t: Scalar, rows: list[Row]) -> None:
        if rows[0][0].is_complex() or rows[0][0].dtype in LOW_PRECISION:
            rows = list(map(as_real, rows))
        if len(rows) == 1:
            self._decay_and_update(*rows[0], group=group, t=t)
        else:
            self._decay_and_update(*map(TensorList, zip(*rows, strict=True)), group=group, t=t)

    def _decay_and_update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        if group["maximize"]:
            grad = grad.neg()
        if group["weight_decay"]:
            if not group["decoupled_weight_decay"]:
                grad = grad.add(param, alpha=group["weight_decay"])
            else:
                factor = 1.0 if group["decoupled_weight_decay"] == "fixed" else group["lr"]
                param.mul_(1 - factor * group["weight_decay"] * number(t >= self.decays_from, t))
        self._update(param, grad, *state, group=group, t=t)

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        """The maths; `state` in the order of `_names`."""
        raise NotImplementedError

    def eps_floor(self, group: Group) -> float:
        """Where a second moment is no larger than this, eps rules the denominator."""
        return group["eps"] ** 2

    @classmethod
    def _require(cls, condition: bool, argument: str, value: Any, allowed: str) -> None:
        if not condition:
            raise ValueError(f"{cls.__name__}: {argument}={value!r} is not possible, it must be {allowed}")


def descend(param: T, numerator: T, denominator: T | None, step_size: Scalar) -> None:
    """param -= step_size * numerator / denominator; None for a denominator of 1."""
    if denominator is None:
        add_scaled(param, numerator, -step_size)
    elif isinstance(step_size, Tensor):
        param.sub_(numerator.div(denominator).mul(step_size))
    else:
        param.addcdiv_(numerator, denominator, value=-step_size)


def is_recorded(group: Group, steps: list[Tensor]) -> bool:
    """Whether Python must not read the step, or cannot: a FakeTensor has no number."""
    compiling = torch.compiler.is_compiling()
    return group["capturable"] or group["differentiable"] or compiling or not is_plain(steps[0])


def add_scaled(param: T, tensor: T, scale: Scalar) -> None:
    """param += scale * tensor."""
    if isinstance(scale, Tensor):
        param.add_(tensor.mul(scale))
    else:
        param.add_(tensor, alpha=scale)


def exact(scalar: Tensor) -> Tensor:
    """In float64, where the device has that: 1 - beta2 ** t of a float32 step would lose half its digits."""
    return scalar if scalar.device.type == "mps" else scalar.double()


def number(condition: bool | Tensor, t: Scalar) -> Scalar:
    """1 where the condition on step `t` holds, else 0, in the precision of `t`."""
    return condition.to(t.dtype) if isinstance(condition, Tensor) and isinstance(t, Tensor) else float(condition)


def _state_dtype(p: Tensor) -> torch.dtype:
    return {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.complex32: torch.complex64}.get(
        p.dtype, p.dtype
    )
