"""Two processes train nets whose parameters are cut up; prints how far each comes from one process with all of them.

    python -m torch.distributed.run --standalone --nproc-per-node=2 -m tests.optim.sharded

`fsdp2` shards all layers, one parameter so that a process has nothing of it; `mixed` leaves plain tensors beside
shards; `parallel` shards one layer by columns; `zero` gives each process some of the parameters; `ddp` half the batch.
"""

import copy
import json

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

import acprop

STEPS = 15
CASES = [
    *((name, {}) for name in ("ACProp", "AdaBelief", "AdaShift", "ADOPT", "AvaGrad", "LaProp")),
    ("ACProp", {"foreach": False, "amsgrad": True}),
    ("ACProp", {"fused": True}),
    ("ACProp", {"capturable": True, "weight_decay": 0.1}),
    ("AdaShift", {"foreach": False}),
    ("AdaShift", {"capturable": True}),
    ("AdaShift", {"reduce": None, "variant": "script", "weight_decay": 0.1}),
    ("AvaGrad", {"capturable": True, "variant": "paper"}),
]
WAYS = ("fsdp2", "mixed", "parallel", "zero", "ddp")


def cut(net, way, mesh):
    if way == "fsdp2":
        fully_shard(net[2], mesh=mesh)
        fully_shard(net, mesh=mesh)
    elif way == "mixed":
        fully_shard(net, mesh=mesh, ignored_params=set(net[0].parameters()))
    elif way == "parallel":
        parallelize_module(net, mesh, {"0": ColwiseParallel(output_layouts=Replicate())})
    elif way == "ddp":
        return DistributedDataParallel(net)
    return net


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)).double()


def train(model, optimizer, batches):
    for batch in batches:
        optimizer.zero_grad()
        (model(batch) - batch.prod(1, keepdim=True)).square().mean().backward()
        optimizer.step()


def local(tensor):
    return tensor._local_tensor if isinstance(tensor, DTensor) else tensor


def compare(way, name, options, mesh):
    cls, whole = getattr(acprop, name), build()
    net = cut(copy.deepcopy(whole), way, mesh)
    start = [p.detach().clone() for p in whole.parameters()]
    one = cls(whole.parameters(), lr=0.01, **options)
    if way == "zero":
        many = ZeroRedundancyOptimizer(net.parameters(), cls, lr=0.01, **options)
    else:
        many = cls(net.parameters(), lr=0.01, **options)
    batches = torch.randn(STEPS, 8, 3, dtype=torch.float64)
    train(whole, one, batches)
    train(net, many, batches.chunk(2, dim=1)[dist.get_rank()] if way == "ddp" else batches)
    full = [q.full_tensor() if isinstance(q, DTensor) else q for q in net.parameters()]
    pairs = list(zip(start, whole.parameters(), full, strict=True))
    result = {"moved": min((p - x).abs().max().item() for x, p, _ in pairs)}
    result["gap"] = max((p - q).abs().max().item() for _, p, q in pairs)
    if way == "fsdp2":
        sizes = [sum(local(s).numel() for entry in o.state.values() for s in entry.values()) for o in (one, many)]
        result["share"] = sizes[1] / sizes[0]
    return result


def refusal(make):
    try:
        make()
    except ValueError as error:
        return str(error)
    return None


def main():
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))
    found = {}
    for way in WAYS:
        for name, options in CASES:
            if (way, name) != ("zero", "AvaGrad"):
                found[f"{way} {name} {json.dumps(options)}"] = compare(way, name, options, mesh)
    refused = {"zero AvaGrad": refusal(lambda: ZeroRedundancyOptimizer(build().parameters(), acprop.AvaGrad, lr=0.01))}
    for original in (True, False):
        flat = FullyShardedDataParallel(build(), use_orig_params=original, device_id=torch.device("cpu"))
        for name in ("AvaGrad", "AdaShift"):
            refused[f"fsdp1 {name} {original}"] = refusal(lambda n=name, f=flat: getattr(acprop, n)(f.parameters()))
        acprop.ACProp(flat.parameters())
    if dist.get_rank() == 0:
        print(json.dumps({"found": found, "refused": refused}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
