"""What every optimizer of this package shares: checks, state, decay, the walk over groups. A subclass adds its maths.

A subclass names its `state_names` and has one method, `_update(param, grad, *state, group, t)`, which holds the maths
once for every path. Its tensors are either `Tensor`s (one parameter at a time) or `TensorList`s (many parameters a
call), and `t`, the step counted from 1, is a float, or a 0-dim tensor where the step must not be read by Python
(`capturable`, `differentiable`, inside `torch.compile`). So a coefficient that differs at some steps is written as
arithmetic on `t`, never as `if`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT, _use_grad_for_differentiable

Group = dict[str, Any]
Row = tuple[Tensor, ...]  # a parameter, its gradient, its state in the order of `state_names`
Decay = bool | Literal["fixed"]


class Options(TypedDict, total=False):
    """What every optimizer takes by keyword; see `AdaptiveOptimizer`."""

    decoupled_weight_decay: Decay
    maximize: bool
    foreach: bool | None
    capturable: bool
    differentiable: bool


LOW_PRECISION = (torch.bfloat16, torch.float16)
# Many small tensors a call save overhead, but on a CPU all temporaries of a call should stay in its cache.
CPU_CHUNK = 2**19  # elements


class TensorList(list):
    """Tensors that take a `Tensor` method together, as one `torch._foreach_*` call."""

    def __getattr__(self, name: str) -> Callable[..., "TensorList"]:
        foreach = getattr(torch, f"_foreach_{name}")

        def call(*args: Any, **kwargs: Any) -> TensorList:
            result = foreach(self, *args, **kwargs)
            return self if result is None else TensorList(result)

        return call


class AdaptiveOptimizer(Optimizer):
    """Arguments that all optimizers of this package take.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate; a 0-dim tensor is taken too.
        betas: two decay rates in [0, 1); which averages they belong to, the optimizer says.
        eps: keeps denominators from zero; where it enters, the optimizer says.
        weight_decay: strength of the decay.
        decoupled_weight_decay: False adds weight_decay * param to the gradient, as `torch.optim.Adam` does; True
            multiplies the parameters by 1 - lr * weight_decay instead, as `torch.optim.AdamW` does; "fixed" by
            1 - weight_decay, whatever the lr.
        maximize: ascend.
        foreach: many tensors a call; None: unless `differentiable`. False obeys.
        capturable: never read the step from Python, so that a CUDA graph can hold it.
        differentiable: let autograd record the step.

    Parameters in bfloat16 or float16 keep float32 state. The gradient is never modified.

    Raises:
        ValueError: for a hyper-parameter out of range.
        RuntimeError: at `step`, for a sparse gradient.
    """

    state_names: tuple[str, ...] = ("exp_avg", "exp_avg_sq")

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
        **own: Any,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(f"{type(self).__name__}: Tensor lr must be 1-element, this one has {lr.numel()}")
        self._require(0 <= (lr.item() if isinstance(lr, Tensor) else lr) < math.inf, "lr", lr, "a number >= 0")
        self._require(len(betas) == 2 and all(0 <= b < 1 for b in betas), "betas", betas, "two numbers in [0, 1)")
        self._require(0 <= eps < math.inf, "eps", eps, "a number >= 0")
        self._require(0 <= weight_decay < math.inf, "weight_decay", weight_decay, "a number >= 0")
        self._require(
            decoupled_weight_decay in (False, True, "fixed"),
            "decoupled_weight_decay", decoupled_weight_decay, "False, True or 'fixed'",
        )  # fmt: skip
        self._require(
            not (foreach and differentiable), "foreach", foreach, "False or None together with differentiable=True"
        )
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, **own,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

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
        super().load_state_dict(state_dict)
        # torch casts state to its parameter's dtype; state of low-precision parameters must stay float32.
        keys = [key for group in state_dict["param_groups"] for key in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for key, p in zip(keys, params, strict=True):
            for name, value in state_dict["state"].get(key, {}).items():
                if p.dtype in LOW_PRECISION and isinstance(value, Tensor) and name != "step":
                    self.state[p][name] = value.to(device=p.device, dtype=torch.float32)

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
            columns: list[list[Tensor]] = [[] for _ in self.state_names]
            self._init_group(group, params, grads, steps, *columns)
            if params:
                self._step_group(group, params, grads, steps, columns)
        return loss

    def _init_group(
        self, group: Group, params: list[Tensor], grads: list[Tensor], steps: list[Tensor], *columns: list[Tensor]
    ) -> None:
        """Fills the lists with what this group steps on. `torch.compile` knows this method by its name."""
        names_and_columns = list(zip(self.state_names, columns, strict=True))
        for p in group["params"]:
            grad = p.grad
            if grad is None or not p.numel():
                continue
            if grad.is_sparse:
                raise RuntimeError(f"{type(self).__name__} does not take sparse gradients; use torch.optim.SparseAdam")
            state = self.state[p]
            if not state:
                on = p.device if group["capturable"] else "cpu"
                state["step"] = torch.zeros((), dtype=torch.float32, device=on)
                self._init_state(p, state, group)
            params.append(p)
            grads.append(grad)
            steps.append(state["step"])
            for name, column in names_and_columns:
                column.append(state[name])

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        for name in self.state_names:
            state[name] = torch.zeros_like(p, dtype=_state_dtype(p), memory_format=torch.preserve_format)

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        rows = list(zip(params, grads, *columns, strict=True))
        lr = group["lr"]
        if group["capturable"] or group["differentiable"] or torch.compiler.is_compiling():
            group = {**group, "lr": exact(lr) if isinstance(lr, Tensor) else lr}
            for step, row in zip(steps, rows, strict=True):
                step += 1
                self._decay_and_update(*_as_real(row), group, exact(step))
            return
        group = {**group, "lr": float(lr)}
        torch._foreach_add_(steps, 1)
        alike: dict[tuple[float, torch.device, torch.dtype], list[Row]] = defaultdict(list)
        for step, row in zip(steps, rows, strict=True):
            alike[step.item(), row[0].device, row[0].dtype].append(row)
        for (t, _, _), bucket in alike.items():
            self._step_bucket(group, t, bucket)

    def _step_bucket(self, group: Group, t: float, rows: list[Row]) -> None:
        """A step on parameters of one device, dtype and age."""
        for chunk in _chunks(rows, together=group["foreach"] is not False):
            param, grad, *state = map(TensorList, zip(*map(_as_real, chunk), strict=True))
            if len(chunk) == 1:
                (param,), (grad,), *state = param, grad, *[column[0] for column in state]
            self._decay_and_update(param, grad, *state, group, t)

    def _decay_and_update(self, param: Any, grad: Any, *rest: Any) -> None:
        *state, group, t = rest
        if group["maximize"]:
            grad = grad.neg()
        if group["weight_decay"]:
            if not group["decoupled_weight_decay"]:
                grad = grad.add(param, alpha=group["weight_decay"])
            elif group["decoupled_weight_decay"] == "fixed":
                param.mul_(1 - group["weight_decay"])
            else:
                param.mul_(1 - group["lr"] * group["weight_decay"])
        self._update(param, grad, *state, group, t)

    def _update(self, param: Any, grad: Any, *rest: Any) -> None:
        """The maths: `(param, grad, *state in the order of state_names, group, t)`."""
        raise NotImplementedError

    def eps_floor(self, group: Group) -> float:
        """Where a second moment is no larger than this, eps rules the denominator."""
        return group["eps"] ** 2

    @classmethod
    def _require(cls, condition: bool, argument: str, value: Any, allowed: str) -> None:
        if not condition:
            raise ValueError(f"{cls.__name__}: {argument}={value!r} is not possible, it must be {allowed}")


def descend(param: Any, numerator: Any, denominator: Any, step_size: Any) -> None:
    """param -= step_size * numerator / denominator; None for a denominator of 1."""
    if denominator is None:
        param.sub_(numerator.mul(step_size))
    elif isinstance(step_size, Tensor):
        param.sub_(numerator.div(denominator).mul(step_size))
    else:
        param.addcdiv_(numerator, denominator, value=-step_size)


def exact(scalar: Tensor) -> Tensor:
    """In float64, where the device has that: 1 - beta2 ** t of a float32 step would lose half its digits."""
    return scalar if scalar.device.type == "mps" else scalar.double()


def number(condition: Any, t: Any) -> Any:
    """1 where the condition on step `t` holds, else 0, in the precision of `t`."""
    return condition.to(t.dtype) if isinstance(t, Tensor) else float(condition)


def _state_dtype(p: Tensor) -> torch.dtype:
    return torch.float32 if p.dtype in LOW_PRECISION else p.dtype


def _as_real(row: Row) -> Row:
    """Complex numbers as pairs of real ones, low-precision gradients in float32."""
    if row[0].is_complex():
        return tuple(torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in row)
    if row[0].dtype in LOW_PRECISION:
        return row[0], row[1].float(), *row[2:]
    return row


def _chunks(rows: list[Row], together: bool) -> Iterator[list[Row]]:
    if not together:
        yield from ([row] for row in rows)
    elif rows[0][0].device.type != "cpu":
        yield rows
    else:
        chunk: list[Row] = []
        size = 0
        for row in rows:
            if chunk and size + row[0].numel() > CPU_CHUNK:
                yield chunk
                chunk, size = [], 0
            chunk.append(row)
            size += row[0].numel()
        yield chunk
