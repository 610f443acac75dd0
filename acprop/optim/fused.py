"""`ACProp(fused=True)`: hands tensors to a kernel, and hands back those that no kernel takes.

A kernel reads and writes memory at an address. What makes a tensor more than its memory (a subclass, a negative bit, a
mode that watches operations) is looked for here, and goes the default way.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Iterator
from ctypes import CDLL, Structure, byref, c_double, c_int64, c_void_p
from functools import cache
from itertools import chain, compress
from operator import attrgetter

import torch
from torch import Tensor
from torch.nn import Parameter

from acprop.optim import kernel
from acprop.optim.acprop import COEFFICIENTS, Coefficients
from acprop.optim.base import LOW_PRECISION, Group

Columns = list[list[Tensor]]  # params, grads, steps, exp_avgs, exp_avg_vars; a row is a parameter's

NAMES = {
    torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16", torch.float16: "float16"
}  # fmt: skip
DTYPE_AND_PLACE = attrgetter("dtype", "is_cpu")
ROWS = 128  # rows a call: the objects that Python looks at stay in the processor's cache


def fused_acprop_(group: Group, columns: Columns) -> Columns:
    """Steps on every row that a kernel takes; returns the others."""
    if _operations_are_watched():
        return columns
    others: Columns = [[] for _ in columns]
    for start in range(0, len(columns[0]), ROWS):
        for dtype, rows in _alike([column[start : start + ROWS] for column in columns]):
            for ours in _split(rows, dtype, others):
                _step_on_cpu(group, dtype, ours)
    return others


def scalars(group: Group, c: Coefficients, t: float) -> tuple[float, ...]:
    """What a kernel knows of a step; fused.cpp names them."""
    lr, weight_decay, decoupled = float(group["lr"]), group["weight_decay"], group["decoupled_weight_decay"]
    return (
        0.0 if group["skip_first_step"] and t == 1 else lr,
        {False: 1.0, True: 1 - lr * weight_decay, "fixed": 1 - weight_decay}[decoupled],
        0.0 if decoupled else weight_decay,
        -1.0 if group["maximize"] else 1.0,
        *group["betas"],
        math.inf if group["clip_update"] is None else group["clip_update"],
        *c,
    )


# -- what a kernel takes -----------------------------------------------------------------------------------------------


def _operations_are_watched() -> bool:
    """By a `TorchDispatchMode` (FakeTensorMode, a tracer, a counter) or a transform of torch.func."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._functorch.peek_interpreter_stack() is not None


def _alike(columns: Columns) -> Iterator[tuple[torch.dtype, Columns]]:
    """The rows of each type."""
    dtypes = [p.dtype for p in columns[0]]
    for dtype in set(dtypes):
        yield dtype, _only(columns, [other == dtype for other in dtypes])


def _split(rows: Columns, dtype: torch.dtype, others: Columns) -> Iterator[Columns]:
    """The rows that a kernel takes, if any; the rest is added to `others`."""
    if _takes(rows, dtype):
        yield rows
        return
    taken = [_takes([[tensor] for tensor in row], dtype) for row in zip(*rows, strict=True)]
    for column, rest in zip(others, _only(rows, [not takes for takes in taken]), strict=True):
        column.extend(rest)
    if any(taken):
        yield _only(rows, taken)


def _only(columns: Columns, wanted: list[bool]) -> Columns:
    return columns if all(wanted) else [list(compress(column, wanted)) for column in columns]


def _takes(rows: Columns, dtype: torch.dtype) -> bool:
    """Whether all these are plain memory of known types, the tensors of a row in one order."""
    params, grads, steps, *states = rows
    # first of all the class: a subclass may answer everything else as it likes
    if dtype not in NAMES or not {Tensor, Parameter}.issuperset(map(type, chain(*rows))):
        return False
    kept = torch.float32 if dtype in LOW_PRECISION else dtype
    try:
        sizes = list(map(Tensor.size, params))
        return (
            {(dtype, True)}.issuperset(map(DTYPE_AND_PLACE, chain(params, grads)))
            and {(kept, True)}.issuperset(map(DTYPE_AND_PLACE, chain(*states)))
            and {(torch.float32, True)}.issuperset(map(DTYPE_AND_PLACE, steps))
            and {1}.issuperset(map(Tensor.numel, steps))
            and all(list(map(Tensor.size, column)) == sizes for column in (grads, *states))
            and not any(map(Tensor.is_neg, chain(params, grads)))
            and (
                all(map(Tensor.is_contiguous, chain(params, grads, *states)))
                or all(map(_in_one_order, params, grads, *states))
            )
        )
    except RuntimeError:  # sparse, nested: what has no size or order raises when asked
        return False


def _in_one_order(*row: Tensor) -> bool:
    """Dense, the n-th element at the same place in each."""
    return all(map(Tensor.is_contiguous, row)) or (
        row[0].dim() == 4 and all(t.is_contiguous(memory_format=torch.channels_last) for t in row)
    )


# -- on CPU ------------------------------------------------------------------------------------------------------------


class _Tensors(Structure):
    _fields_ = [("count", c_int64), *((name, c_void_p) for name in ("params", "grads", "exp_avgs", "exp_avg_vars", "sizes"))]


@cache
def library() -> CDLL:
    return kernel.load(torch.backends.cpu.get_cpu_capability())


def _step_on_cpu(group: Group, dtype: torch.dtype, columns: Columns) -> None:
    params, grads, steps, *states = columns
    kernels = library()
    words = [array("Q", map(Tensor.data_ptr, column)) for column in (params, grads, *states)]
    words.append(array("Q", map(Tensor.numel, params)))
    ages = array("d", bytes(8 * len(steps)))
    pointers = array("Q", map(Tensor.data_ptr, steps))
    torch.autograd.graph.increment_version(params)  # the kernel writes behind autograd's back
    kernels.advance(c_int64(len(steps)), _address(pointers), _address(ages))
    for t in set(ages):
        of_age = words if ages.count(t) == len(ages) else [array("Q", compress(w, [a == t for a in ages])) for w in words]
        values = scalars(group, COEFFICIENTS[group["variant"]](t, *group["betas"], group["eps"]), t)
        getattr(kernels, NAMES[dtype])(
            byref(_Tensors(len(of_age[0]), *map(_address, of_age))), (c_double * len(values))(*values)
        )


def _address(numbers: array) -> c_void_p:
    return c_void_p(numbers.buffer_info()[0])
