r"""ACProp: divides the gradient by yesterday's centred second moment.

Zhuang, Ding, Tang, Dvornek, Tatikonda, Duncan: Momentum Centering and Asynchronous Update for Adaptive Gradient
Methods, NeurIPS 2021. Several methods are published under the name; docs/optimizers.md sets them side by side.

    m_t = beta1 m_{t-1} + (1 - beta1) g_t
    x_t = x_{t-1} - lr * numerator / denominator
    s_t = beta2 s'_{t-1} + (1 - beta2) (g_t - m_t)^2

    variant              numerator                   denominator                                      s'
    script               g_t                         sqrt(s' / (1 - beta2^(t-1))) + eps; 1 at t = 1   s + eps from t = 2
    paper                g_t                         sqrt(s' + eps)                                   s
    momentum             m_t / (1 - beta1^t)         as script                                        as script
    rectified            m_t / (1 - beta1^t)         1                      while rho_t < 5           s + eps from t = 2
                         g_t r_t                     sqrt(s') + eps         afterwards
    rectified_momentum   m_t / (1 - beta1^t)         1                      while rho_t < 5           s + eps from t = 2
                         m_t r_t / (1 - beta1^t)     sqrt(s') + eps         afterwards

rho_t and r_t are RAdam's (Liu et al., ICLR 2020): the length of the average and the rectifier of its variance. With
amsgrad the denominator holds the largest s' so far, and s' is s + eps from t = 1.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from acprop.optim.base import AdaptiveOptimizer, Decay, Group, descend, number
from acprop.optim.tensors import Scalar, T

Variant = Literal["script", "paper", "momentum", "rectified", "rectified_momentum"]


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
            eps=1e-16 and decoupled_weight_decay=True); "rectified_momentum", that with `momentum_update=True`.
        decoupled_weight_decay: False adds weight_decay * param to the gradient, as `torch.optim.Adam` does; True
            multiplies the parameters by 1 - lr * weight_decay instead, as `torch.optim.AdamW` does; "fixed" by
            1 - weight_decay, whatever the lr.
        amsgrad: divide by the largest second moment so far. Not with "rectified": the authors' class ignores it there.
        degenerated_to_sgd: "rectified" alone: step by the mean while rho_t < 5. False: after the first step none then.
        skip_first_step: at t = 1 only update the averages. Otherwise the first step is plain SGD, lr * g_1 (in "paper"
            lr * g_1 / sqrt(eps)): scaling the loss scales it.
        clip_update: bound on |numerator / denominator| of each coordinate, in units of lr. A remedy for coordinates
            whose gradients were zero for long, or from the start: their denominator is small, and the next gradient
            throws them far.
        maximize: ascend.
        foreach: many tensors a call; None: unless `differentiable`. False obeys.
        capturable: never read the step from Python, so that a CUDA graph can hold it.
        differentiable: let autograd record the step.
        fused: one pass over memory a step, by a kernel for all dense float parameters of the group: C++ on CPU, Triton
            on CUDA. Where the wheel has not brought it for this processor, a C++ compiler makes it in a second, once.
            What a kernel does not take goes the default way. A loaded state dict does not change it.
        kahan_sum: keep beside each bfloat16 or float16 parameter the bits that it lacks of a float32 (two bytes each),
            so that steps smaller than its rounding add up.

    Parameters in bfloat16 or float16 keep float32 state. The gradient is never modified. The first step of new
    parameters is none where lr and all gradients are zero: `torch.distributed.checkpoint` makes state so.

    Raises:
        ValueError: for a hyper-parameter out of range, in the constructor or in a group.
        RuntimeError: at `step`, for a sparse gradient, for `fused` parameters on a device that has no kernel, or where
            the kernel cannot be had.
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
        amsgrad: bool = False,
        degenerated_to_sgd: bool = True,
        skip_first_step: bool = False,
        clip_update: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool = False,
        kahan_sum: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, variant=variant, decoupled_weight_decay=decoupled_weight_decay,
            amsgrad=amsgrad, degenerated_to_sgd=degenerated_to_sgd, skip_first_step=skip_first_step,
            clip_update=clip_update, maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable, fused=fused, kahan_sum=kahan_sum,
        )  # fmt: skip

    def _check(self, group: Group) -> None:
        super()._check(group)
        variant, clip = group["variant"], group["clip_update"]
        self._require(variant in VARIANTS, "variant", variant, f"one of {', '.join(VARIANTS)}")
        self._require(
            group["betas"][0] != 0, "betas", group["betas"], "beta1 > 0 (0.9): with beta1 = 0 the mean is the gradient "
            "itself, the centred second moment is zero and steps explode",
        )  # fmt: skip
        self._require(clip is None or clip > 0, "clip_update", clip, "None or a number > 0")
        self._require(
            not (group["amsgrad"] and variant.startswith("rectified")), "amsgrad", group["amsgrad"],
            f"False with variant={variant!r}, whose denominator does not hold the largest second moment",
        )  # fmt: skip
        self._require(
            not (group["fused"] and (group["foreach"] or group["differentiable"])),
            "fused", group["fused"], "False together with foreach or differentiable",
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

    def _names(self, group: Group) -> tuple[str, ...]:
        mean, variance, *others = super()._names(group)
        return (mean, variance, *(["max_exp_avg_var"] if group["amsgrad"] else []), *others)

    def _init_state(self, p: Tensor, state: dict[str, Any], group: Group) -> None:
        super()._init_state(p, state, group)
        if group["amsgrad"]:
            state["max_exp_avg_var"] = state["exp_avg_var"].clone()

    def _update(self, param: T, grad: T, *state: T, group: Group, t: Scalar) -> None:
        exp_avg, exp_avg_var = state[:2]
        beta1, beta2 = group["betas"]
        c = VARIANTS[group["variant"]](t, group)
        lr, clip = group["lr"], group["clip_update"]
        if group["skip_first_step"]:
            lr = lr * (1 - number(t == 1, t))

        # update the mean
        exp_avg.lerp_(grad, 1 - beta1)

        # step by the gradient, or the mean, over yesterday's deviation
        size: Scalar = 1.0
        if _is(c.from_mean, 0):
            numerator, size = grad, c.from_grad
        elif _is(c.from_grad, 0):
            numerator, size = exp_avg, c.from_mean
        else:
            numerator = grad.mul(c.from_grad).add(exp_avg.mul(c.from_mean))
        if not _is(c.keep, 0):
            exp_avg_var.add_(c.keep)
        variance = exp_avg_var
        if group["amsgrad"]:
            variance = state[2].copy_(state[2].maximum(exp_avg_var))
        if not _is(c.scale, 1):
            root = variance.mul(c.scale).sqrt_()
        elif not _is(c.under_root, 0):
            root = variance.add(c.under_root).sqrt_()
        else:
            root = variance.sqrt()
        deviation = root.add(c.offset) if group["differentiable"] else root.add_(c.offset)
        if clip is None:
            descend(param, numerator, deviation, lr * size)
        else:
            descend(param, numerator.mul(size).div(deviation).clamp_min(-clip).clamp_max(clip), None, lr)
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

            tables = self.__dict__.setdefault("_tables", {})  # no part of the state: not saved, not copied
            rows = [params, grads, steps, *columns]
            params, grads, steps, *columns = fused_acprop_(group, rows, VARIANTS[group["variant"]], tables)
        if params:
            super()._step_group(group, params, grads, steps, columns)


# -- the variants: coefficients of step t, as arithmetic that holds for floats and for 0-dim tensors -----------------


class Coefficients(NamedTuple):
    """What one step is made of: floats or 0-dim tensors; no pass for a 0 or 1 without effect. With s' = s + keep,

    x -= lr * (from_grad * g_t + from_mean * m_t) / (sqrt(s' * scale + under_root) + offset)

    A bias correction sqrt(1 - beta2^(t-1)) of the root is taken out of the fraction: a pass over memory less.
    """

    from_grad: Scalar = 0.0
    from_mean: Scalar = 0.0
    keep: Scalar = 0.0
    scale: Scalar = 1.0
    under_root: Scalar = 0.0
    offset: Scalar = 0.0


def _is(scalar: Scalar, value: float) -> bool:
    return not isinstance(scalar, Tensor) and scalar == value


def _script(t: Any, group: Group) -> Coefficients:
    beta2, eps = group["betas"][1], group["eps"]
    first = number(t == 1, t)  # s is 0 then, and the denominator 1
    correction = (1 - beta2 ** (t - 1) + first) ** 0.5
    offset = eps * correction * (1 - first) + first
    c = Coefficients(from_grad=correction, keep=eps * (1 - first), offset=offset)
    return c._replace(keep=eps, scale=1 - first) if group["amsgrad"] else c


def _paper(t: Any, group: Group) -> Coefficients:
    return Coefficients(from_grad=1.0, under_root=group["eps"])


def _momentum(t: Any, group: Group) -> Coefficients:
    c = _script(t, group)
    return c._replace(from_grad=0.0, from_mean=c.from_grad / (1 - group["betas"][0] ** t))


def _rectified(t: Any, group: Group) -> Coefficients:
    beta1, beta2 = group["betas"]
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    warm = number(rho < 5, t)
    rho = rho * (1 - warm) + 5 * warm
    rectifier = ((1 - beta2**t) * (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
    first = number(t == 1, t)
    sgd = warm if group["degenerated_to_sgd"] else first
    return Coefficients(
        from_grad=(1 - warm) * rectifier, from_mean=sgd / (1 - beta1**t),
        keep=group["eps"] * (1 - first), scale=1 - warm, offset=group["eps"] * (1 - warm) + warm,
    )  # fmt: skip


def _rectified_momentum(t: Any, group: Group) -> Coefficients:
    c = _rectified(t, group)
    return c._replace(from_grad=0.0, from_mean=c.from_grad / (1 - group["betas"][0] ** t) + c.from_mean)


VARIANTS = {
    "script": _script, "paper": _paper, "momentum": _momentum,
    "rectified": _rectified, "rectified_momentum": _rectified_momentum,
}  # fmt: skip
