"""ACProp's fused step on CPU: builds the kernel of fused.cpp when it is first used, and hands it the tensors.

torch's own code cache compiles it, for the vector instructions of this processor, and keeps it where `torch.compile`
keeps its kernels ($TORCHINDUCTOR_CACHE_DIR).
"""

import ctypes
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from acprop.optim.base import LOW_PRECISION, Group, Row

if TYPE_CHECKING:
    from acprop.optim.acprop import Coefficients

KERNELS = {
    torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16", torch.float16: "float16"
}  # fmt: skip
# torch vectorises its own kernels by hand and has the compiler's vectoriser off; a root that may set errno stops it
FLAGS = ("-ftree-loop-vectorize", "-fno-math-errno")


@cache
def library() -> ctypes.CDLL:
    from torch._inductor.codecache import CppCodeCache
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    try:
        return CppCodeCache.load((Path(__file__).parent / "fused.cpp").read_text(), extra_flags=FLAGS)
    except (InvalidCxxCompiler, CppCompileError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RuntimeError(f"ACProp: fused=True needs a C++ compiler ({reason}); use fused=False") from error


def fused_acprop_(rows: list[Row], c: "Coefficients", group: Group, moves: bool) -> list[Row]:
    """Steps on every row that the kernel can take, all of one dtype; returns the others."""
    if rows[0][0].device.type != "cpu":
        raise RuntimeError(
            f"ACProp: fused=True runs on CPU, these parameters are on {rows[0][0].device}; use foreach, the default "
            "there, or torch.compile the step"
        )
    ours: list[Row] = []
    others: list[Row] = []
    for row in rows:
        (ours if _takes(*row) else others).append(row)
    if ours:
        lr, weight_decay, decoupled = group["lr"], group["weight_decay"], group["decoupled_weight_decay"]
        shrink = {False: 1.0, True: 1 - lr * weight_decay, "fixed": 1 - weight_decay}[decoupled]
        scalars = (
            lr * moves,
            shrink,
            0.0 if decoupled else weight_decay,
            -1.0 if group["maximize"] else 1.0,
            *group["betas"],
            math.inf if group["clip_update"] is None else group["clip_update"],
            *c,
        )
        pointers = ctypes.c_void_p * len(ours)
        getattr(library(), KERNELS[ours[0][0].dtype])(
            ctypes.c_int64(len(ours)),
            *(pointers(*[tensor.data_ptr() for tensor in column]) for column in zip(*ours, strict=True)),
            (ctypes.c_int64 * len(ours))(*[row[0].numel() for row in ours]),
            (ctypes.c_double * len(scalars))(*scalars),
        )
        # the kernel wrote behind autograd's back
        torch.autograd.graph.increment_version([tensor for param, _, *state in ours for tensor in (param, *state)])
    return others


def _takes(param: torch.Tensor, grad: torch.Tensor, *state: torch.Tensor) -> bool:
    """Dense, in one order, and of the types that the kernel knows."""
    kept = torch.float32 if param.dtype in LOW_PRECISION else param.dtype
    stride = param.stride()
    return (
        param.dtype in KERNELS
        and grad.dtype == param.dtype
        and (param.is_contiguous() or (param.dim() == 4 and param.is_contiguous(memory_format=torch.channels_last)))
        and grad.stride() == stride
        and all(tensor.dtype == kept and tensor.stride() == stride for tensor in state)
    )
