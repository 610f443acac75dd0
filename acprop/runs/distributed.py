"""Processes that train one model together, as torchrun starts them. A process on its own is rank 0 of 1, and every
function here then does nothing but answer.

Rank 0 alone touches the run's folder and wandb; the others learn from it what it found there.
"""

import atexit
import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from acprop.runs.errors import UsageError, require

T = TypeVar("T")


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def join() -> None:
    """Joins the group that torchrun announced, once in a process's life: gloo for CPU tensors, NCCL for GPU ones."""
    if launched() and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(dist.destroy_process_group)


def refuse(task: str) -> None:
    """Raises `UsageError` under torchrun: for a task that trains in one process."""
    require(not launched(), "torchrun --nproc-per-node", os.environ.get("WORLD_SIZE"), f"{task} trains in one process")


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def from_leader(work: Callable[[], T]) -> T:
    """What `work()` gives on rank 0, on every rank; a `UsageError` there is raised on every rank."""
    if world_size() == 1:
        return work()
    answer: list[Any] = [None, None]
    if rank() == 0:
        try:
            answer[0] = work()
        except UsageError as error:
            answer[1] = str(error)
    dist.broadcast_object_list(answer, src=0, device=torch.device("cpu"))
    if answer[1] is not None:
        raise UsageError(answer[1])
    return answer[0]


def leader_first(work: Callable[[], T]) -> T:
    """`work()` on rank 0 before the others do it too: it may download or unpack what they then find."""
    result: list[T] = []
    from_leader(lambda: result.append(work()))
    return result[0] if result else work()


def any_rank(*flags: bool) -> list[bool]:
    """For each flag, whether it is set on any rank."""
    if world_size() == 1:
        return list(flags)
    votes = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return votes.bool().tolist()


def add_up(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over the ranks, in its place."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def gather(item: T) -> list[T]:
    """The item of every rank, in their order."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def same_buffers(model: torch.nn.Module) -> None:
    """Gives every rank the buffers of rank 0: each has its own statistics of batch norm after a training step."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def lost(error: BaseException | None) -> bool:
    """Whether an error says that another rank is gone."""
    if world_size() == 1 or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or "peer" in str(error).lower()
