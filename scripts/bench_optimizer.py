"""How long an optimizer step takes: every optimizer and path beside torch's fused Adam, in one run, interleaved.

    python scripts/bench_optimizer.py [--net resnet34] [--net densenet121] [--threads 2] [--rounds 30]
    python scripts/bench_optimizer.py --extra some_package.module:SomeOptimizer

A row says: milliseconds a step (median, and the fastest), the median of the ratios to fused Adam's step of the same
round, the memory traffic that the step cannot avoid (read parameters, gradients and state, write parameters and state)
as a share of the measured copy bandwidth, and the peak of temporary memory. At the end: the first fused call in a
fresh process, with an empty cache and with a warm one.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop import ADOPT, ACProp, AdaBelief, AdaShift, AvaGrad, LaProp
from acprop.runs.environment import _cpu_name
from experiments.images.models import densenet121, resnet34

NETS = {"resnet34": resnet34, "densenet121": densenet121}
REFERENCE = "Adam fused"
Make = Callable[[list[Tensor]], torch.optim.Optimizer]


def makers(extra: list[str]) -> dict[str, Make]:
    found: dict[str, Make] = {REFERENCE: partial(torch.optim.Adam, fused=True)}
    found["Adam foreach"] = partial(torch.optim.Adam, foreach=True)
    found["Adam single"] = partial(torch.optim.Adam, foreach=False)
    found["ACProp fused"] = partial(ACProp, fused=True)
    for cls in (ACProp, AdaBelief, AdaShift, ADOPT, AvaGrad, LaProp):
        found[f"{cls.__name__} foreach"] = partial(cls, foreach=True)
        found[f"{cls.__name__} single"] = partial(cls, foreach=False)
    for name in extra:
        module, _, cls_name = name.partition(":")
        found[name] = getattr(importlib.import_module(module), cls_name)
    return found


def parameters(net: str) -> list[Tensor]:
    torch.manual_seed(0)
    model = NETS[net](num_classes=10, in_channels=3, width=1.0).to(memory_format=torch.channels_last)
    return list(model.parameters())


def prepare(make: Make, net: str) -> tuple[torch.optim.Optimizer, int]:
    """An optimizer with gradients set and state made, and the bytes its step must move."""
    params = parameters(net)
    for p in params:
        p.grad = torch.randn_like(p) * 1e-3
    optimizer = make(params)
    for _ in range(12):  # AdaShift's memory is full then
        optimizer.step()
    size = sum(p.numel() * p.element_size() for p in params)
    state = sum(
        value.numel() * value.element_size()
        for entry in optimizer.state.values()
        for name, value in entry.items()
        if torch.is_tensor(value) and name not in ("step", "grads")
    )
    rings = sum(size for entry in list(optimizer.state.values())[:1] if "grads" in entry)
    return optimizer, 3 * size + 2 * state + 2 * rings  # of AdaShift's ring, one slot is read and written


def copy_bandwidth(bytes_: int) -> float:
    """Bytes a second, read and written, of `Tensor.copy_` on as much memory as the largest step moves."""
    source, target = torch.ones(bytes_ // 8), torch.empty(bytes_ // 8)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - start)
    return 2 * source.numel() * 4 / median(times)


def temporary_memory(optimizer: torch.optim.Optimizer) -> int:
    """Peak of what one step allocates, in bytes."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        optimizer.step()
    total = peak = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


def measure(net: str, rounds: int, extra: list[str]) -> None:
    cells = {name: prepare(make, net) for name, make in makers(extra).items()}
    times: dict[str, list[float]] = {name: [] for name in cells}
    for _ in range(rounds):
        for name, (optimizer, _) in cells.items():
            start = time.perf_counter()
            optimizer.step()
            times[name].append(time.perf_counter() - start)
    bandwidth = copy_bandwidth(max(moved for _, moved in cells.values()))
    tensors = len(parameters(net))
    elements = sum(p.numel() for p in parameters(net))
    print(f"\n{net}: {tensors} tensors, {elements / 1e6:.1f} M parameters; copy bandwidth {bandwidth / 1e9:.1f} GB/s\n")
    print(
        "| optimizer | ms (median) | ms (fastest) | / fused Adam | unavoidable traffic / bandwidth | temporaries MiB |"
    )
    print("|---|---|---|---|---|---|")
    for name, (optimizer, moved) in cells.items():
        ratio = median(a / b for a, b in zip(times[name], times[REFERENCE], strict=True))
        share = moved / bandwidth / median(times[name])
        print(
            f"| {name} | {median(times[name]) * 1e3:.2f} | {min(times[name]) * 1e3:.2f} | {ratio:.2f} | {share:.0%} "
            f"| {temporary_memory(optimizer) / 2**20:.1f} |"
        )
    pairs = zip(times["ACProp foreach"], times["Adam foreach"], strict=True)
    print(f"\nACProp foreach / Adam foreach, {net}: {median(a / b for a, b in pairs):.2f}")


def first_call(net: str) -> None:
    """Prints the seconds of this process's first fused step."""
    params = parameters(net)
    for p in params:
        p.grad = torch.randn_like(p)
    optimizer = ACProp(params, fused=True)
    start = time.perf_counter()
    optimizer.step()
    print(time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", action="append", choices=NETS, help="may be repeated; default: both")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30, help="timed steps of each optimizer, interleaved")
    parser.add_argument("--extra", action="append", default=[], metavar="MODULE:CLASS", help="time this optimizer too")
    parser.add_argument("--first-call", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # measure in this process
    arguments = parser.parse_args()
    nets = arguments.net or list(NETS)
    torch.set_num_threads(arguments.threads)
    if arguments.first_call:
        first_call(nets[0])
        return
    if arguments.here:
        measure(nets[0], arguments.rounds, arguments.extra)
        return
    print(
        f"{_cpu_name()}, {arguments.threads} threads, torch {torch.__version__}, {arguments.rounds} rounds", flush=True
    )
    for net in nets:
        # a process each: what the allocator has seen before decides how fast temporaries are
        extra = [word for name in arguments.extra for word in ("--extra", name)]
        options = [f"--net={net}", f"--threads={arguments.threads}", f"--rounds={arguments.rounds}", *extra]
        subprocess.run([sys.executable, __file__, "--here", *options], check=True)
    with tempfile.TemporaryDirectory() as cache:
        for kind in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, __file__, "--first-call", "--net", nets[0], f"--threads={arguments.threads}"],
                env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            print(f"first fused step, {kind} cache: {float(done.stdout):.1f} s")


if __name__ == "__main__":
    main()
