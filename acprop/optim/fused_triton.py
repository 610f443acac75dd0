# mypy: disallow-incomplete-defs=False
"""One step of ACProp on many dense CUDA tensors by one Triton kernel: the maths of fused.cpp, on a GPU.

Nothing here waits for the device, and a CUDA graph can hold it. What changes between launches (addresses, the scalars
of a step) lies in device memory; `torch._foreach_add_` writes it there, which passes numbers as arguments of a kernel
instead of copying from the host. With `capturable=True` the step and its scalars are counted on the device; else the
step is a number on the host, and a launch takes the parameters of one age.
"""

from array import array
from contextlib import nullcontext
from itertools import accumulate, chain, compress
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from acprop.optim.base import LOW_PRECISION
from acprop.optim.fused import Memory, scalars

BLOCK = 1024  # elements a program
TYPES = {
    torch.float32: tl.float32, torch.float64: tl.float64, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16
}  # fmt: skip


@triton.jit
def _kernel(
    words, which, scalars, count, stride, T: tl.constexpr, S: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """A program takes a block of one tensor.

    `words` holds params, grads, exp_avgs, exp_avg_vars, sizes and each tensor's first program, `count` of each; `which`
    the tensor of each program; `scalars`, in float64, a row every `stride` numbers. S is the type of state and maths.
    """
    program = tl.program_id(0)
    i = tl.load(which + program)
    size = tl.load(words + 4 * count + i)
    start = (program - tl.load(words + 5 * count + i)) * BLOCK
    place = start + tl.arange(0, BLOCK)
    params = _at(words, i, place, T, ALIGNED)
    grads = _at(words, count + i, place, T, ALIGNED)
    exp_avgs = _at(words, 2 * count + i, place, S, ALIGNED)
    exp_avg_vars = _at(words, 3 * count + i, place, S, ALIGNED)
    if start + BLOCK <= size:  # whole: without a mask, 16 bytes an access
        _update(params, grads, exp_avgs, exp_avg_vars, None, scalars + i * stride, T, S)
    else:
        _update(params, grads, exp_avgs, exp_avg_vars, place < size, scalars + i * stride, T, S)


@triton.jit
def _update(params, grads, exp_avgs, exp_avg_vars, mask, k, T: tl.constexpr, S: tl.constexpr):
    lr, shrink, weight_decay, sign = _scalar(k, 0, S), _scalar(k, 1, S), _scalar(k, 2, S), _scalar(k, 3, S)
    weight1, weight2 = (1 - tl.load(k + 4)).to(S), (1 - tl.load(k + 5)).to(S)
    beta2, clip = _scalar(k, 5, S), _scalar(k, 6, S)
    from_grad, from_mean, keep = _scalar(k, 7, S), _scalar(k, 8, S), _scalar(k, 9, S)
    scale, under_root, offset = _scalar(k, 10, S), _scalar(k, 11, S), _scalar(k, 12, S)

    param = tl.load(params, mask=mask).to(S)
    g = sign * tl.load(grads, mask=mask).to(S) + weight_decay * param
    # update the mean
    exp_avg = tl.load(exp_avgs, mask=mask)
    m = exp_avg + weight1 * (g - exp_avg)
    tl.store(exp_avgs, m, mask=mask)
    # step by the gradient, or the mean, over yesterday's deviation
    s = tl.load(exp_avg_vars, mask=mask) + keep
    numerator = from_grad * g + from_mean * m
    if tl.float32 == S:  # rounded as on CPU; for float64 the plain operations are
        ratio = tl.math.div_rn(numerator, tl.math.sqrt_rn(s * scale + under_root) + offset)
    else:
        ratio = numerator / (tl.sqrt(s * scale + under_root) + offset)
    clipped = tl.where(ratio > clip, clip, tl.where(ratio < -clip, -clip, ratio))  # NaN passes
    tl.store(params, (param * shrink - lr * clipped).to(T), mask=mask)
    # update the second moment around the mean
    tl.store(exp_avg_vars, beta2 * s + weight2 * (g - m) * (g - m), mask=mask)


@triton.jit
def _at(words, i, place, T: tl.constexpr, ALIGNED: tl.constexpr):
    pointers = tl.load(words + i).to(tl.pointer_type(T)) + place
    return tl.multiple_of(pointers, 16) if ALIGNED else pointers


@triton.jit
def _scalar(k, i: tl.constexpr, S: tl.constexpr):
    return tl.load(k + i).to(S)


class Numbers:
    """Numbers in device memory that the host writes without a copy."""

    def __init__(self, count: int, dtype: torch.dtype, device: torch.device) -> None:
        self.memory = torch.zeros(count, dtype=dtype, device=device)
        self.each = self.memory.unbind()
        self.known: list[Any] = [0] * count

    def write(self, numbers: list[Any]) -> None:
        changed = [new != old for new, old in zip(numbers, self.known, strict=True)]
        if any(changed):
            places = list(compress(self.each, changed))
            torch._foreach_zero_(places)
            torch._foreach_add_(places, list(compress(numbers, changed)))
            self.known = numbers


class Table:
    """The device memory of one launch: addresses and sizes, the tensor of each program, the scalars."""

    def __init__(self, sizes: array, device: torch.device) -> None:
        self.sizes, self.device = sizes, device
        blocks = [triton.cdiv(size, BLOCK) for size in sizes]
        self.starts = list(accumulate(blocks, initial=0))[:-1]
        self.programs = sum(blocks)
        counts = Numbers(len(sizes), torch.int64, device)
        counts.write(blocks)
        self.which = torch.repeat_interleave(counts.memory, output_size=self.programs)
        self.words = Numbers(6 * len(sizes), torch.int64, device)
        self.scalars = Numbers(13, torch.float64, device)


def step_by_triton(memory: Memory, tables: dict[Any, Any]) -> None:
    group, steps = memory.group, memory.steps
    torch.autograd.graph.increment_version(memory.params)  # the kernel writes behind autograd's back
    torch._foreach_add_(steps, 1)
    lr = group["lr"]
    if group["capturable"]:
        t = torch.stack(steps).double()
        columns = scalars({**group, "lr": lr.double() if isinstance(lr, Tensor) else lr}, t)
        _launch(memory, memory.words, torch.stack([_like(t, column) for column in columns], dim=1), 0, tables)
        return
    if _is_capturing(memory.device):
        raise RuntimeError("ACProp: a CUDA graph holds the step with capturable=True alone")
    ages = torch.stack(steps).tolist()
    for number, t in enumerate(sorted(set(ages))):
        words = [array("Q", compress(column, [age == t for age in ages])) for column in memory.words]
        _launch(memory, words, list(scalars({**group, "lr": float(lr)}, t)), number, tables)


def _like(t: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor) and value.device == t.device:
        return value.expand_as(t)
    return torch.full_like(t, float(value))


def _launch(
    memory: Memory, words: list[array], values: Tensor | list[float], number: int, tables: dict[Any, Any]
) -> None:
    """`values`: scalars, one row for all or a row each; `number`: of the launches for these parameters, which one."""
    *addresses, sizes = words
    key: Any = id(memory.params[0]), number
    table = tables.get(key)
    if _is_capturing(memory.device):  # what a graph reads must stay as it is, whatever is launched outside of it
        key, table = ("captured", len(tables)), None
    if table is None or table.sizes != sizes or table.device != memory.device:
        table = tables[key] = Table(sizes, memory.device)
    table.words.write([*chain(*addresses), *sizes, *table.starts])
    if isinstance(values, Tensor):
        rows, stride = values, values.stride(0)
    else:
        table.scalars.write(values)
        rows, stride = table.scalars.memory, 0
    kept = tl.float32 if memory.dtype in LOW_PRECISION else TYPES[memory.dtype]
    with torch.cuda.device(memory.device) if memory.device.type == "cuda" else nullcontext():
        _kernel[(table.programs,)](
            table.words.memory, table.which, rows, len(sizes), stride, T=TYPES[memory.dtype], S=kept,
            ALIGNED=not any(address % 16 for address in chain(*addresses)), BLOCK=BLOCK,
        )  # fmt: skip


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
