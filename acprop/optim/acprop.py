r"""ACProp: divides the gradient by yesterday's centred second moment.

Zhuang, Ding, Tang, Dvornek, Tatikonda, Duncan: Momentum Centering and Asynchronous Update for Adaptive Gradient
Methods, NeurIPS 2021. Four methods are published under the name; docs/optimizers.md sets them side by side.

    m_t = beta1 m_{t-1} + (1 - beta1) g_t
    x_t = x_{t-1} - lr * numerator / denominator
    s_t = beta2 s'_{t-1} + (1 - beta2) (g_t - m_t)^2

    variant     numerator               denominator                                       s'
    script      g_t                     sqrt(s' / (1 - beta2^(t-1))) + eps; 1 at t = 1    s + eps from t = 2
    paper       g_t                     sqrt(s' + eps)                                    s
    momentum    m_t / (1 - beta1^t)     as script                                         as script
    rectified   m_t / (1 - beta1^t)     1                      while rho_t < 5            s + eps from t = 2
                g_t r_t                 sqrt(s') + eps         afterwards

rho_t and r_t are RAdam's (Liu et al., ICLR 2020): the length of the average and the rectifier of its variance.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Decay, Group, descend, number

Variant = Literal["script", "paper", "momentum", "rectified"]


class Coefficients(NamedTuple):
    """What one step is made of: floats, or 0-dim tensors. With s' = s + keep,

    x -= lr * (from_grad * g_t + from_mean * m_t) / (sqrt(s' * scale + under_root) + offset)

    A bias correction sqrt(1 - beta2^(t-1)) of the root is taken out of the fraction: a pass over memory less.
    """

    from_grad: Any
    from_mean: Any
    keep: Any
    scale: Any
    under_root: Any
    offset: Any


class ACProp(AdaptiveOptimizer):
    """ACProp in its published variants; the default is what the authors' training script runs.

    Args:
        params: parameters, named parameters or parameter groups.
        lr: learning rate; a 0-dim tensor is taken too.
        betas: decay of the mean and of the centred second moment. beta1 = 0 is refused: the mean would be the
            gradient itself, the residual zero, and steps would grow without bound.
        eps: added to the second moment before each use and kept in it, so that it settles at eps / (1 - beta2) where
            gradients are zero, and added to the denominator; in "paper" added under the root alone.
        weight_decay: strength of the decay.
        variant: "script", the authors' training script (`rectify=False`); "paper", Algorithm 2; "momentum", the script
            with the mean as numerator (`momentum_update=True`); "rectified", the authors' class by default (which adds
            eps=1e-16 and decoupled_weight_decay=True).
        decoupled_weight_decay: False adds weight_decay * param to the gradient, as `torch.optim.Adam` does; True
            multiplies the parameters by 1 - lr * weight_decay instead, as `torch.optim.AdamW` does; "fixed" by
            1 - weight_decay, whatever the lr.
        skip_first_step: at t = 1 only update the averages. Otherwise the first step is plain SGD, lr * g_1 (in "paper"
            lr * g_1 / sqrt(eps)): scaling the loss scales it.
        clip_update: bound on |numerator / denominator| of each coordinate, in units of lr. A remedy for coordinates
            whose gradients were zero for long: their denominator has shrunk, and the next gradient throws them far.
        maximize: ascend.
        foreach: many tensors a call; None: unless `differentiable`. False obeys.
        capturable: never read the step from Python, so that a CUDA graph can hold it.
        differentiable: let autograd record the step.
        fused: one pass over memory a step, by a kernel for all dense float parameters of the group: C++ on CPU, Triton
            on CUDA. Where the wheel has not brought it for this processor, a C++ compiler makes it in a second, once.
            What a kernel does not take goes the default way. A loaded state dict does not change it.

    Parameters in bfloat16 or float16 keep float32 state. The gradient is never modified.

    Raises:
        ValueError: for a hyper-parameter out of range.
        RuntimeError: at `step`, for a sparse gradient, for `fused` parameters on a device without a
            kernel, or where the kernel cannot be had.
    """

    state_names = ("exp_avg", "exp_avg_var")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        variant: Variant = "script",
        decoupled_weight_decay: Decay = False,
        skip_first_step: bool = False,
        clip_update: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool = False,
    ) -> None:
        self._require(variant in COEFFICIENTS, "variant", variant, f"one of {', '.join(COEFFICIENTS)}")
        self._require(
            betas[0] != 0, "betas", betas, "beta1 > 0 (0.9): with beta1 = 0 the mean is the gradient itself, the "
            "centred second moment is zero and steps explode",
        )  # fmt: skip
        self._require(clip_update is None or clip_update > 0, "clip_update", clip_update, "None or a number > 0")
        self._require(
            not (fused and (foreach or differentiable)),
            "fused", fused, "False together with foreach or differentiable",
        )  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, variant=variant, decoupled_weight_decay=decoupled_weight_decay,
            skip_first_step=skip_first_step, clip_update=clip_update, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable, fused=fused,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        """`fused` is a matter of this machine, not of the training: it stays as the constructor was told."""
        mine = [group["fused"] for group in getattr(self, "param_groups", [])]
        super().__setstate__(state)
        for group, fused in zip(self.param_groups, mine, strict=False):
            group["fused"] = fused
        for group in self.param_groups:
            for p in group["params"]:
                # torch takes the step of what was saved with fused=True to the parameter's device
                if not group["capturable"] and "step" in self.state.get(p, {}):
                    self.state[p]["step"] = self.state[p]["step"].cpu()

    def _update(self, param: Any, grad: Any, exp_avg: Any, exp_avg_var: Any, group: Group, t: Any) -> None:
        beta1, beta2 = group["betas"]
        variant, clip = group["variant"], group["clip_update"]
        c = COEFFICIENTS[variant](t, beta1, beta2, group["eps"])

        # update the mean
        exp_avg.lerp_(grad, 1 - beta1)

        # step by the gradient, or the mean, over yesterday's deviation
        if variant == "rectified":
            numerator, size = grad.mul(c.from_grad).add(exp_avg.mul(c.from_mean)), 1.0
        else:
            numerator, size = (exp_avg, c.from_mean) if variant == "momentum" else (grad, c.from_grad)
        if variant == "paper":
            root = exp_avg_var.add(c.under_root).sqrt_()
        else:
            exp_avg_var.add_(c.keep)
            root = exp_avg_var.mul(c.scale).sqrt_() if variant == "rectified" else exp_avg_var.sqrt()
        deviation = root.add(c.offset) if group["differentiable"] else root.add_(c.offset)
        if clip is not None:
            numerator, size = numerator.mul(size).div(deviation).clamp_min(-clip).clamp_max(clip), 1.0
            deviation = None
        if group["skip_first_step"]:
            size = size * (1 - number(t == 1, t))
        descend(param, numerator, deviation, group["lr"] * size)
        del root, deviation  # their memory serves the next temporary

        # update the second moment around the mean
        residual = grad.sub(exp_avg)
        exp_avg_var.mul_(beta2).addcmul_(residual, residual, value=1 - beta2)

    def eps_floor(self, group: Group) -> float:
        """Kept in the state, eps alone takes the second moment to eps / (1 - beta2)."""
        return group["eps"] if group["variant"] == "paper" else 2 * group["eps"] / (1 - group["betas"][1])

    def _step_group(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        columns: list[list[Tensor]],
    ) -> None:
        if group["fused"] and not torch.compiler.is_compiling():
            from acprop.optim.fused import fused_acprop_

            tables = self.__dict__.setdefault("_tables", {})
            params, grads, steps, *columns = fused_acprop_(group, [params, grads, steps, *columns], tables)
        if params:
            super()._step_group(group, params, grads, steps, columns)


# -- the variants: coefficients of step t, as arithmetic that holds for floats and for 0-dim tensors -----------------


def _script(t: Any, beta1: float, beta2: float, eps: float) -> Coefficients:
    first = number(t == 1, t)  # s is 0 then, and the denominator 1
    correction = (1 - beta2 ** (t - 1) + first) ** 0.5
    offset = eps * correction * (1 - first) + first
    return Coefficients(correction, 0.0, keep=eps * (1 - first), scale=1.0, under_root=0.0, offset=offset)


def _paper(t: Any, beta1: float, beta2: float, eps: float) -> Coefficients:
    return Coefficients(1.0, 0.0, keep=0.0, scale=1.0, under_root=eps, offset=0.0)


def _momentum(t: Any, beta1: float, beta2: float, eps: float) -> Coefficients:
    c = _script(t, beta1, beta2, eps)
    return c._replace(from_grad=0.0, from_mean=c.from_grad / (1 - beta1**t))


def _rectified(t: Any, beta1: float, beta2: float, eps: float) -> Coefficients:
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    warm = number(rho < 5, t)
    rho = rho * (1 - warm) + 5 * warm
    rectifier = ((1 - beta2**t) * (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
    first = number(t == 1, t)
    return Coefficients(
        from_grad=(1 - warm) * rectifier, from_mean=warm / (1 - beta1**t),
        keep=eps * (1 - first), scale=1 - warm, under_root=0.0, offset=eps * (1 - warm) + warm,
    )  # fmt: skip


COEFFICIENTS = {"script": _script, "paper": _paper, "momentum": _momentum, "rectified": _rectified}
