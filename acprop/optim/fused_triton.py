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

from acprop.optim.memory import Memory, scalars
from acprop.optim.tensors import LOW_PRECISION

BLOCK = 1024  # elements a program
TYPES = {
    torch.float32: tl.float32, torch.float64: tl.float64, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16
}  # fmt: skip
LOW_BITS = {torch.bfloat16: tl.int16, torch.float16: tl.float16}


@triton.jit
def _kernel(
    words, which, scalars, count, stride,
    T: tl.constexpr, S: tl.constexpr, LOW: tl.constexpr, AMSGRAD: tl.constexpr, ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes a block of one tensor.

    `words` holds params, grads, exp_avgs, exp_avg_vars, max_exp_avg_vars, low_bits, sizes and each tensor's first
    program, `count` of each; `which` the tensor of each program; `scalars`, in float64, a row every `stride` numbers.
    T is the type of param and grad, S of state and maths, LOW of the low bits that `kahan_sum` keeps, or None.
    """
    program = tl.program_id(0)
    i = tl.load(which + program)
    size = tl.load(words + 6 * count + i)
    start = (program - tl.load(words + 7 * count + i)) * BLOCK
    place = start + tl.arange(0, BLOCK)
    words += i
    params = _at(words, place, T, ALIGNED)
    grads = _at(words + count, place, T, ALIGNED)
    exp_avgs = _at(words + 2 * count, place, S, ALIGNED)
    exp_avg_vars = _at(words + 3 * count, place, S, ALIGNED)
    maxima = _at(words + 4 * count, place, S, ALIGNED)
    lows = _at(words + 5 * count, place, T if LOW is None else LOW, ALIGNED)
    k = scalars + i * stride
    if start + BLOCK <= size:  # whole: without a mask, 16 bytes an access
        _update(params, grads, exp_avgs, exp_avg_vars, maxima, lows, None, k, T, S, LOW, AMSGRAD)
    else:
        _update(params, grads, exp_avgs, exp_avg_vars, maxima, lows, place < size, k, T, S, LOW, AMSGRAD)


@triton.jit
def _update(
    params, grads, exp_avgs, exp_avg_vars, maxima, lows, mask, k,
    T: tl.constexpr, S: tl.constexpr, LOW: tl.constexpr, AMSGRAD: tl.constexpr,
):  # fmt: skip
    lr, shrink, weight_decay, sign = _scalar(k, 0, S), _scalar(k, 1, S), _scalar(k, 2, S), _scalar(k, 3, S)
    weight1, weight2 = (1 - tl.load(k + 4)).to(S), (1 - tl.load(k + 5)).to(S)
    beta2, clip = _scalar(k, 5, S), _scalar(k, 6, S)
    from_grad, from_mean, keep = _scalar(k, 7, S), _scalar(k, 8, S), _scalar(k, 9, S)
    scale, under_root, offset = _scalar(k, 10, S), _scalar(k, 11, S), _scalar(k, 12, S)

    param = _load(params, lows, mask, T, S, LOW)
    g = sign * tl.load(grads, mask=mask).to(S) + weight_decay * param
    # update the mean
    exp_avg = tl.load(exp_avgs, mask=mask)
    m = exp_avg + weight1 * (g - exp_avg)
    tl.store(exp_avgs, m, mask=mask)
    # step by the gradient, or the mean, over yesterday's deviation
    s = tl.load(exp_avg_vars, mask=mask) + keep
    variance = s
    if AMSGRAD:
        variance = tl.maximum(tl.load(maxima, mask=mask), s, propagate_nan=tl.PropagateNan.ALL)
        tl.store(maxima, variance, mask=mask)
    numerator = from_grad * g + from_mean * m
    if tl.float32 == S:  # rounded as on CPU; for float64 the plain operations are
        ratio = tl.math.div_rn(numerator, tl.math.sqrt_rn(variance * scale + under_root) + offset)
    else:
        ratio = numerator / (tl.sqrt(variance * scale + under_root) + offset)
    clipped = tl.where(ratio > clip, clip, tl.where(ratio < -clip, -clip, ratio))  # NaN passes
    _store(param * shrink - lr * clipped, params, lows, mask, T, LOW)
    # update the second moment around the mean
    tl.store(exp_avg_vars, beta2 * s + weight2 * (g - m) * (g - m), mask=mask)


@triton.jit
def _load(params, lows, mask, T: tl.constexpr, S: tl.constexpr, LOW: tl.constexpr):
    """The parameter; with `kahan_sum` together with its low bits, as `join` in tensors.py."""
    if LOW is None:
        return tl.load(params, mask=mask).to(S)
    elif LOW == T:
        return tl.load(params, mask=mask).to(S) + tl.load(lows, mask=mask).to(S) * (1 / 2048)
    else:
        high = tl.load(params.to(tl.pointer_type(LOW)), mask=mask).to(tl.int32)
        return ((high << 16) + tl.load(lows, mask=mask).to(tl.int32)).to(tl.float32, bitcast=True)


@triton.jit
def _store(param, params, lows, mask, T: tl.constexpr, LOW: tl.constexpr):
    """Writes the parameter; with `kahan_sum` its low bits too, as `split_` in tensors.py."""
    if LOW is None:
        tl.store(params, param.to(T), mask=mask)
    elif LOW == T:
        rounded = param.to(T)
        tl.store(params, rounded, mask=mask)
        tl.store(lows, ((param - rounded.to(param.dtype)) * 2048).to(T), mask=mask)
    else:
        bits = param.to(tl.int32, bitcast=True)
        high = (bits + 0x8000) >> 16
        tl.store(params.to(tl.pointer_type(LOW)), high.to(LOW), mask=mask)
        tl.store(lows, (bits - (high << 16)).to(LOW), mask=mask)


@triton.jit
def _at(words, place, T: tl.constexpr, ALIGNED: tl.constexpr):
    pointers = tl.load(words).to(tl.pointer_type(T)) + place
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
        self.words = Numbers(8 * len(sizes), torch.int64, device)
        self.scalars = Numbers(13, torch.float64, device)


def step_by_triton(memory: Memory, tables: dict[Any, Any]) -> None:
    group, steps = memory.group, memory.steps
    if _is_capturing(memory.device) and not group["capturable"]:
        raise RuntimeError("ACProp: a CUDA graph holds the step with capturable=True alone")
    torch.autograd.graph.increment_version(memory.params)  # the kernel writes behind autograd's back
    torch._foreach_add_(steps, 1)
    lr = group["lr"]
    if group["capturable"]:
        t = torch.stack(steps).double()
        columns = scalars(memory, lr.double() if isinstance(lr, Tensor) else lr, t)
        _launch(memory, memory.words, torch.stack([_like(t, column) for column in columns], dim=1), 0, tables)
        return
    ages = torch.stack(steps).tolist()
    for number, t in enumerate(sorted(set(ages))):
        words = [array("Q", compress(column, [age == t for age in ages])) for column in memory.words]
        _launch(memory, words, list(scalars(memory, float(lr), t)), number, tables)


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
    columns = [column or array("Q", bytes(8 * len(sizes))) for column in addresses]
    table.words.write([*chain(*columns), *sizes, *table.starts])
    if isinstance(values, Tensor):
        rows, stride = values, values.stride(0)
    else:
        table.scalars.write(values)
        rows, stride = table.scalars.memory, 0
    *_, maxima, low_bits = addresses
    with torch.cuda.device(memory.device) if memory.device.type == "cuda" else nullcontext():
        _kernel[(table.programs,)](
            table.words.memory, table.which, rows, len(sizes), stride,
            T=TYPES[memory.dtype], S=tl.float32 if memory.dtype in LOW_PRECISION else TYPES[memory.dtype],
            LOW=LOW_BITS[memory.dtype] if low_bits else None, AMSGRAD=bool(maxima),
            ALIGNED=not any(address % 16 for address in chain(*addresses)), BLOCK=BLOCK,
        )  # fmt: skip


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
