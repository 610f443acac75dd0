"""What the maths is done on: one tensor or many at once, this process's share of a sharded one, and in which pieces."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

Scalar: TypeAlias = float | Tensor
Row: TypeAlias = tuple[Tensor, ...]  # a parameter, its gradient, its state

LOW_PRECISION = (torch.bfloat16, torch.float16)
# Many small tensors a call save overhead, but all temporaries of a call should stay in a CPU's cache, and be little
# beside the parameters on another device.
ELEMENTS_A_CALL = {"cpu": 2**19}
ELEMENTS_A_CALL_ELSEWHERE = 2**25


class TensorList(list[Tensor]):
    """Tensors that take these methods of `Tensor` together, each as one `torch._foreach_*` call."""

    def add(self, other: "TensorList | Scalar", *, alpha: float = 1.0) -> "TensorList":
        return TensorList(torch._foreach_add(self, other, **_if_not_1(alpha=alpha)))

    def add_(self, other: "TensorList | Scalar", *, alpha: float = 1.0) -> "TensorList":
        torch._foreach_add_(self, other, **_if_not_1(alpha=alpha))
        return self

    def sub(self, other: "TensorList") -> "TensorList":
        return TensorList(torch._foreach_sub(self, other))

    def sub_(self, other: "TensorList") -> "TensorList":
        torch._foreach_sub_(self, other)
        return self

    def mul(self, other: "TensorList | Scalar") -> "TensorList":
        return TensorList(torch._foreach_mul(self, other))

    def mul_(self, other: "TensorList | Scalar") -> "TensorList":
        torch._foreach_mul_(self, other)
        return self

    def div(self, other: "TensorList | Scalar") -> "TensorList":
        return TensorList(torch._foreach_div(self, other))

    def addcmul_(self, one: "TensorList", other: "TensorList", *, value: float = 1.0) -> "TensorList":
        torch._foreach_addcmul_(self, one, other, value=value)
        return self

    def addcdiv_(self, numerator: "TensorList", denominator: "TensorList", *, value: float = 1.0) -> "TensorList":
        torch._foreach_addcdiv_(self, numerator, denominator, value=value)
        return self

    def lerp_(self, end: "TensorList", weight: float) -> "TensorList":
        torch._foreach_lerp_(self, end, weight)
        return self

    def sign(self) -> "TensorList":
        return TensorList(torch._foreach_sign(self))

    def neg(self) -> "TensorList":
        return TensorList(torch._foreach_neg(self))

    def sqrt(self) -> "TensorList":
        return TensorList(torch._foreach_sqrt(self))

    def sqrt_(self) -> "TensorList":
        torch._foreach_sqrt_(self)
        return self

    def reciprocal(self) -> "TensorList":
        return TensorList(torch._foreach_reciprocal(self))

    def clamp_min(self, low: float) -> "TensorList":
        return TensorList(torch._foreach_clamp_min(self, low))

    def clamp_max(self, high: float) -> "TensorList":
        return TensorList(torch._foreach_clamp_max(self, high))

    def maximum(self, other: "TensorList") -> "TensorList":
        return TensorList(torch._foreach_maximum(self, other))

    def copy_(self, other: "TensorList") -> "TensorList":
        torch._foreach_copy_(self, other)
        return self


T = TypeVar("T", Tensor, TensorList)


def _if_not_1(alpha: float) -> dict[str, float]:
    """`torch._foreach_add` takes alpha with a list and not with a number."""
    return {} if alpha == 1 else {"alpha": alpha}


PLAIN = frozenset((Tensor, torch.nn.Parameter))


def is_plain(tensor: Tensor) -> bool:
    """Whether a `_foreach` call or a kernel may take it; a subclass computes in its own way, alone."""
    return type(tensor) in PLAIN


def are_plain(tensors: Iterable[Tensor]) -> bool:
    """Whether all are, without a call of Python's for each."""
    return PLAIN.issuperset(map(type, tensors))


def is_flattened(p: Tensor) -> bool:
    """Whether the older FSDP has cut it without regard to its shape."""
    return getattr(p, "_fsdp_flattened", False) or getattr(p, "_is_flat_param", False)


def share(row: Row) -> Row:
    """This process's part of a row of DTensors; other rows as they are.

    Right for what is done to each element alone. A gradient that is spread otherwise is brought to where its
    parameter is.
    """
    if is_plain(row[0]):
        return row
    from torch.distributed.tensor import DTensor

    param, grad, *state = row
    if not isinstance(param, DTensor):
        return row
    if isinstance(grad, DTensor) and grad.placements != param.placements:
        grad = grad.redistribute(param.device_mesh, param.placements)
    return tuple(t._local_tensor if isinstance(t, DTensor) else t for t in (param, grad, *state))


def whole(tensor: Tensor) -> Tensor:
    """The result of a sum over a DTensor, taken together from all processes."""
    return tensor if is_plain(tensor) or not hasattr(tensor, "full_tensor") else tensor.full_tensor()


def largest(tensors: list[Tensor]) -> list[Tensor]:
    """The largest magnitude in each tensor; of a DTensor, in all its shards, of which this process's may be empty."""
    shards = [share((t, t))[0] for t in tensors]
    shards = [torch.view_as_real(t) if t.is_complex() else t for t in shards]
    together = [t for t in shards if is_plain(t) and t.numel()]
    found = dict(zip(map(id, together), torch._foreach_norm(together, torch.inf) if together else [], strict=True))
    alone = [found[id(t)] if id(t) in found else t.norm(torch.inf) if t.numel() else t.new_zeros(()) for t in shards]
    return [_over_shards(t, one) for t, one in zip(tensors, alone, strict=True)]


def _over_shards(tensor: Tensor, peak: Tensor) -> Tensor:
    if is_plain(tensor):
        return peak
    from torch.distributed.tensor import DTensor, Partial, Replicate

    if not isinstance(tensor, DTensor):
        return peak
    placements = [Replicate() if placement.is_replicate() else Partial("max") for placement in tensor.placements]
    return DTensor.from_local(peak, tensor.device_mesh, placements).full_tensor()


def as_real(row: Row) -> Row:
    """Complex numbers as pairs of real ones, low-precision gradients in float32."""
    if row[0].is_complex():
        row = (row[0], row[1].resolve_conj(), *row[2:])
        row = tuple(torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in row)
    if row[0].dtype in LOW_PRECISION:
        row = (row[0], row[1].float(), *row[2:])
    return row


def chunks(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of one device in portions that bound the temporaries of a call; large tensors are cut."""
    size = ELEMENTS_A_CALL.get(rows[0][0].device.type, ELEMENTS_A_CALL_ELSEWHERE)
    chunk: list[Row] = []
    filled = 0
    for row in rows:
        for piece in (row,) if row[0].numel() <= size else _pieces(row, size):
            if chunk and filled + piece[0].numel() > size:
                yield chunk
                chunk, filled = [], 0
            chunk.append(piece)
            filled += piece[0].numel()
    yield chunk


def _pieces(row: Row, size: int) -> Iterator[Row]:
    """A row cut along its memory, where all its tensors lie in one order; 0-dim state goes with every piece."""
    param = row[0]
    stride, shape = param.stride(), param.shape
    dense = param.is_contiguous() or (param.dim() == 4 and param.is_contiguous(memory_format=torch.channels_last))
    small = [t.dim() == 0 for t in row]
    alike = all(one or (t.stride() == stride and t.shape == shape) for t, one in zip(row, small, strict=True))
    if not dense or not alike:
        yield row
        return
    flat = [t if one else t.as_strided((t.numel(),), (1,)) for t, one in zip(row, small, strict=True)]
    for start in range(0, param.numel(), size):
        yield tuple(t if one else t[start : start + size] for t, one in zip(flat, small, strict=True))


# -- what bfloat16 and float16 lack of a float32: kept beside the parameter, so that small steps add up ---------------

# float16 has 11 of float32's 24 bits; the rest, scaled by 2^11, has the size of the parameter itself, so that it does
# not underflow, and keeps 11 more
SCALE = 2.0**11


def no_low_bits(p: Tensor) -> Tensor:
    """State of a parameter that is what its bits say; empty where the parameter is not of low precision."""
    p = torch.view_as_real(p) if p.is_complex() else p
    if p.dtype not in LOW_PRECISION:
        return torch.zeros(0, device=p.device)
    return torch.zeros_like(p, dtype=torch.int16 if p.dtype == torch.bfloat16 else torch.float16)


def join(param: Tensor, low: Tensor) -> Tensor:
    """The float32 that parameter and low bits are together."""
    if param.dtype == torch.float16:
        return param.float().add_(low.float(), alpha=1 / SCALE)
    return param.view(torch.int16).int().bitwise_left_shift_(16).add_(low).view(torch.float32)


def split_(master: Tensor, param: Tensor, low: Tensor) -> None:
    """Writes a float32 into parameter, rounded to nearest, and low bits: all of it in bfloat16, 22 bits in float16."""
    if param.dtype == torch.float16:
        param.copy_(master)
        low.copy_(master.sub(param).mul_(SCALE))
        return
    bits = master.view(torch.int32)
    high = bits.add(0x8000).bitwise_right_shift_(16)
    param.view(torch.int16).copy_(high)
    low.copy_(bits.sub(high.bitwise_left_shift_(16)))
