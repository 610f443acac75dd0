"""`ACProp(fused=True)`: hands tensors to a kernel, and hands back those that no kernel takes.

A kernel reads and writes memory at an address. What makes a tensor more than its memory (a subclass, a negative bit, a
mode that watches operations) is looked for here, and goes the default way.
"""

from array import array
from collections.abc import Callable, Iterator
from ctypes import CDLL, Structure, byref, c_double, c_int64, c_void_p
from functools import cache
from itertools import chain, compress
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from acprop.optim import kernel
from acprop.optim.base import Group
from acprop.optim.memory import Memory, scalars
from acprop.optim.tensors import LOW_PRECISION, are_plain, share

Columns = list[list[Tensor]]  # params, grads, steps, then the state as `ACProp._names` has it; a row is a parameter's

TYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16", torch.float16: "float16"
}  # fmt: skip
LOW_BITS = {torch.bfloat16: torch.int16, torch.float16: torch.float16}  # of `kahan_sum`
# On CPU so many rows at a time that what Python looks at stays in the processor's cache: 2,000 parameters of 1,000
# elements take 1.2 times as long without.
ROWS = 128
PLACE, DTYPE = attrgetter("dtype", "device"), attrgetter("dtype")
ON_CPU = -1  # Tensor.get_device's word


def fused_acprop_(group: Group, columns: Columns, variant: Callable[..., Any], tables: dict[Any, Any]) -> Columns:
    """Steps on every row that a kernel takes; returns the others.

    `variant` tells the coefficients of a step, `tables` is what kernels keep between steps.

    Raises:
        RuntimeError: for a device that has no kernel, or where the kernel cannot be had.
    """
    if _operations_are_watched():
        return columns
    if not are_plain(columns[0]):
        columns = _shares(columns)
    others: Columns = [[] for _ in columns]
    count = len(columns[0])
    at_once = ROWS if columns[0][0].is_cpu else count
    for start in range(0, count, at_once):
        for dtype, device, rows in _alike([column[start : start + at_once] for column in columns]):
            for ours, words in _split(rows, dtype, device, group, others):
                _step_on(device)(Memory(group, variant, dtype, device, ours[0], ours[2], words), tables)
    return others


# -- what a kernel takes -----------------------------------------------------------------------------------------------


def _operations_are_watched() -> bool:
    """By a `TorchDispatchMode` (FakeTensorMode, a tracer, a counter) or a transform of torch.func."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._functorch.peek_interpreter_stack() is not None


def _shares(columns: Columns) -> Columns:
    """Of DTensors, what lies in this process."""
    params, grads, steps, *states = columns
    shared = [share(row) for row in zip(params, grads, *states, strict=True)]
    params, grads, *states = map(list, zip(*shared, strict=True))
    return [params, grads, steps, *states]


def _alike(columns: Columns) -> Iterator[tuple[torch.dtype, torch.device, Columns]]:
    """The rows of each type and device."""
    kinds = list(map(PLACE, columns[0]))
    for kind in set(kinds):
        yield *kind, columns if kinds.count(kind) == len(kinds) else _only(columns, [other == kind for other in kinds])


def _split(
    rows: Columns, dtype: torch.dtype, device: torch.device, group: Group, others: Columns
) -> Iterator[tuple[Columns, list[array]]]:
    """The rows that a kernel takes, if any; the rest is added to `others`."""
    if words := _words(rows, dtype, device, group):
        yield rows, words
        return
    taken = [bool(_words([[t] for t in row], dtype, device, group)) for row in zip(*rows, strict=True)]
    for column, rest in zip(others, _only(rows, [not takes for takes in taken]), strict=True):
        column.extend(rest)
    if any(taken):
        ours = _only(rows, taken)
        yield ours, _words(ours, dtype, device, group)


def _only(columns: Columns, wanted: list[bool]) -> Columns:
    return columns if all(wanted) else [list(compress(column, wanted)) for column in columns]


def _words(rows: Columns, dtype: torch.dtype, device: torch.device, group: Group) -> list[array]:
    """`Memory.words` where all these are plain memory of known types, the tensors of a row in one order; else empty."""
    # first of all the class: a subclass may answer everything else as it likes
    if dtype not in TYPES or device.type == "meta" or not are_plain(chain(*rows)):
        return []
    params, grads, steps, exp_avgs, exp_avg_vars, *more = rows
    maxima = more.pop(0) if group["amsgrad"] else []
    low_bits = more.pop() if group["kahan_sum"] and dtype in LOW_PRECISION else []
    moved = [params, grads, exp_avgs, exp_avg_vars, maxima, low_bits]
    kept = torch.float32 if dtype in LOW_PRECISION else dtype
    place = ON_CPU if device.type == "cpu" else device.index
    try:
        sizes = list(map(Tensor.size, params))
        if not (
            {dtype}.issuperset(map(DTYPE, grads))
            and {kept}.issuperset(map(DTYPE, chain(exp_avgs, exp_avg_vars, maxima)))
            and {LOW_BITS.get(dtype)}.issuperset(map(DTYPE, low_bits))
            and {torch.float32}.issuperset(map(DTYPE, steps))
            and {place}.issuperset(map(Tensor.get_device, chain(*moved[1:])))
            and {place if group["capturable"] else ON_CPU}.issuperset(map(Tensor.get_device, steps))
            and {1}.issuperset(map(Tensor.numel, steps))
            and all(list(map(Tensor.size, column)) == sizes for column in moved[1:] if column)
            and not any(map(Tensor.is_neg, chain(params, grads)))
            and (
                all(map(Tensor.is_contiguous, chain(*moved)))
                or all(map(_in_one_order, *[column for column in moved if column]))
            )
        ):
            return []
        words = [array("Q", map(Tensor.data_ptr, column)) for column in moved]
    except RuntimeError:  # sparse, nested: what has no size, order or memory raises when asked for it
        return []
    if any(0 in column for column in words):  # zeros that are only promised; freed storage
        return []
    return [*words, array("Q", map(Tensor.numel, params))]


def _in_one_order(*row: Tensor) -> bool:
    """Dense, the n-th element at the same place in each."""
    return all(map(Tensor.is_contiguous, row)) or (
        row[0].dim() == 4 and all(t.is_contiguous(memory_format=torch.channels_last) for t in row)
    )


# -- kernels -----------------------------------------------------------------------------------------------------------


def _step_on(device: torch.device) -> Callable[[Memory, dict[Any, Any]], None]:
    if device.type == "cpu":
        return step_on_cpu
    if device.type != "cuda":
        raise RuntimeError(
            f"ACProp: fused=True runs on cpu and cuda, these parameters are on {device}; use fused=False"
        )
    try:
        from acprop.optim.fused_triton import step_by_triton
    except ImportError as error:
        raise RuntimeError(f"ACProp: fused=True on {device} needs Triton ({error}); use fused=False") from error
    return step_by_triton


class _Tensors(Structure):
    _fields_ = (
        ("count", c_int64), ("params", c_void_p), ("grads", c_void_p), ("exp_avgs", c_void_p),
        ("exp_avg_vars", c_void_p), ("max_exp_avg_vars", c_void_p), ("low_bits", c_void_p), ("sizes", c_void_p),
    )  # fmt: skip


@cache
def library() -> CDLL:
    return kernel.load(torch.backends.cpu.get_cpu_capability())


def step_on_cpu(memory: Memory, tables: dict[Any, Any]) -> None:
    kernels = library()
    count = len(memory.params)
    ages = array("d", bytes(8 * count))
    steps = array("Q", map(Tensor.data_ptr, memory.steps))
    torch.autograd.graph.increment_version(memory.params)  # the kernel writes behind autograd's back
    kernels.advance(c_int64(count), _address(steps), _address(ages))
    for t in set(ages):
        rows = memory.words
        if ages.count(t) != count:
            rows = [array("Q", compress(column, [age == t for age in ages])) for column in rows]
        tensors = _Tensors(len(rows[0]), *map(_address, rows))
        values = scalars(memory, float(memory.group["lr"]), t)
        getattr(kernels, TYPES[memory.dtype])(byref(tensors), (c_double * len(values))(*values))


def _address(numbers: array) -> c_void_p:
    return c_void_p(numbers.buffer_info()[0] if numbers else None)
