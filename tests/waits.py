"""How often a host would wait for its GPU, counted without one.

The device is `cpu:0`, which torch keeps apart from `cpu`: what is sent there shows as a copy, and can be seen to ask
for the host to wait or not. Values are real, so it is the real training that is looked at. What waits on a GPU:
reading a number or a list from a tensor, finding out how many elements a mask has, a copy that blocks.
"""

from collections import Counter
from contextlib import contextmanager

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cpu", 0)
READING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique_dim", "_unique2", "is_nonzero"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
PYTHON = {torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.__array__}
FROM_PYTHON = {torch.tensor, torch.as_tensor}  # a list that becomes a tensor of the GPU's: a copy that blocks


class _Operations(TorchDispatchMode):
    def __init__(self, waits, counters):
        super().__init__()
        self.waits, self.counters = waits, counters

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in READING and not (name == "_local_scalar_dense" and self._is_step(args[0])):
            self.waits[name] += 1
        if name in INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            self.waits[f"{name} by a mask"] += 1
        if name == "_to_copy" and kwargs.get("device") == DEVICE and not kwargs.get("non_blocking"):
            self.waits["a copy that blocks"] += 1
        return func(*args, **kwargs)

    def _is_step(self, tensor):
        """An optimizer's counter of steps lies on the CPU, by torch's own convention."""
        return tensor.data_ptr() in {
            state["step"].data_ptr()
            for optimizer in self.counters for state in optimizer.state.values()
            if isinstance(state.get("step"), torch.Tensor)
        }  # fmt: skip


class _Calls(TorchFunctionMode):
    def __init__(self, waits):
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in PYTHON or (func in FROM_PYTHON and kwargs.get("device") == DEVICE):
            self.waits[func.__name__] += 1
        return func(*args, **kwargs)


@contextmanager
def counted():
    """Yields a Counter of the waits so far, by their kind."""
    waits, optimizers = Counter(), []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: optimizers.append(optimizer) if optimizer not in optimizers else None
    )
    try:
        with _Operations(waits, optimizers), _Calls(waits):
            yield waits
    finally:
        hook.remove()
