"""How long an optimizer step takes beside torch's Adam: the tables of docs/optimizers.md, in two minutes.

    python scripts/bench_optimizer.py [--seconds 100] [--only densenet121]

Each table is measured in three processes, spread over the whole time and bound to as many processors as they have
threads. In a process all optimizers take turns, and a step's time is divided by that of the reference in the same turn.
A ratio is the median over all turns, in brackets the lowest and highest median of a process. CPU time beside wall time:
another process that takes the processor away lengthens wall time alone, one that takes memory bandwidth both. What the
rest of the machine did meanwhile is said at the end: figures of a machine that was not quiet are not for print.

"of the bound": the bytes that a step must move at least (read param, grad and state; write param and state) at the
bandwidth of `x.mul_(1)` on as much memory, which reads and writes too, as a share of its fastest step; in CPU time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.optim import Adam

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop import ADOPT, ACProp, AdaBelief, AdaShift, AvaGrad, LaProp

PROCESSES = 3
START = 2.5  # seconds until a process measures
QUIET = 0.02  # of the processors, taken by others
FUSED = {"Adam fused": partial(Adam, fused=True), "ACProp fused": partial(ACProp, fused=True)}
FOREACH = {"Adam foreach": partial(Adam, foreach=True), "ACProp foreach": partial(ACProp, foreach=True)}
PEERS = {f"{cls.__name__} foreach": partial(cls, foreach=True) for cls in (AdaBelief, AdaShift, ADOPT, AvaGrad, LaProp)}
OPTIMIZERS: dict[str, Any] = FUSED | FOREACH | PEERS
TABLES: dict[str, dict[str, Any]] = {
    "4 tensors of 10 M, 1 thread": {"shapes": [[10_000_000]] * 4, "optimizers": [*FUSED, *FOREACH]},
    "4 tensors of 10 M, 2 threads": {"shapes": [[10_000_000]] * 4, "threads": 2, "optimizers": [*FUSED, *FOREACH]},
    "2,000 tensors of 1,000, 1 thread": {"shapes": [[1000]] * 2000, "optimizers": [*FUSED, *FOREACH]},
    "2,000 tensors of 1,000, 2 threads": {"shapes": [[1000]] * 2000, "threads": 2, "optimizers": [*FUSED, *FOREACH]},
    "bfloat16, 4 tensors of 2 M, 1 thread": {"shapes": [[2_000_000]] * 4, "dtype": "bfloat16", "optimizers": [*FUSED]},
    "float16, 4 tensors of 2 M, 1 thread": {"shapes": [[2_000_000]] * 4, "dtype": "float16", "optimizers": [*FUSED]},
    "resnet34, 2 threads": {"net": "resnet34", "threads": 2, "optimizers": [*FUSED, *FOREACH]},
    "densenet121, 2 threads": {"net": "densenet121", "threads": 2, "optimizers": [*OPTIMIZERS]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=100, help="for everything but the last report")
    parser.add_argument("--only", default="", metavar="WORD", help="tables whose name has this word")
    parser.add_argument("--table", help=argparse.SUPPRESS)  # measure this one, in this process
    arguments = parser.parse_args()
    if arguments.table:
        print(json.dumps(measure(**json.loads(arguments.table))))
        return
    tables = {name: table for name, table in TABLES.items() if arguments.only in name}
    if not tables:
        parser.error(f"--only {arguments.only}: no table is named so; there are: {'; '.join(TABLES)}")
    end = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (first_call(cache) for _ in range(2))
    for table in tables.values():
        if "net" in table:
            table["shapes"] = shapes_of(table.pop("net"))
    before, own = processor_time(), os.times()
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    waiting = [(name, table) for _ in range(PROCESSES) for name, table in tables.items()]
    for left, (name, table) in zip(range(len(waiting), 0, -1), waiting, strict=True):
        remaining = end - time.monotonic()
        if remaining > START and (found := fresh(table, remaining, remaining / left - START, name not in results)):
            results[name].append(found)
    others = 1 - used_by_children(own) / max(1e-9, sum(processor_time()) - sum(before)) - idle_share(before)
    for name, table in tables.items():
        if results[name]:
            report(name, table, results[name])
        else:
            print(f"\n{name}: the time was up before it was measured")
    print(f"\nFirst fused step of a process: {cold:.1f} s where the kernel is compiled first, {warm:.2f} s afterwards.")
    quiet = "quiet" if others < QUIET else f"NOT QUIET (quiet is below {QUIET:.0%}): do not print these figures"
    print(f"{machine()}. Others took {others:.0%} of its processors meanwhile: {quiet}.")


# -- in a process of its own -------------------------------------------------------------------------------------------


def measure(
    shapes: list[list[int]],
    optimizers: list[str],
    seconds: float,
    first: bool,
    threads: int = 1,
    dtype: str = "float32",
) -> dict[str, Any]:
    """Milliseconds of each step, wall and CPU; bytes it must move; bytes a second; temporaries in MiB (the first)."""
    torch.set_num_threads(threads)
    cells = {name: prepare(OPTIMIZERS[name], shapes, getattr(torch, dtype)) for name in optimizers}
    names = list(cells)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(wall[names[0]]) < 2:
        names.append(names.pop(0))  # each follows each other one
        for name in names:
            start = time.perf_counter(), time.process_time()
            cells[name].step()
            wall[name].append((time.perf_counter() - start[0]) * 1e3)
            cpu[name].append((time.process_time() - start[1]) * 1e3)
    moved = {name: traffic(optimizer) for name, optimizer in cells.items()}
    result = {"wall": wall, "cpu": cpu, "moved": moved, "bandwidth": bandwidth(max(moved.values()))}
    if first:
        result["temporaries"] = {name: temporary_memory(optimizer) for name, optimizer in cells.items()}
    return result


def prepare(make: Any, shapes: list[list[int]], dtype: torch.dtype) -> torch.optim.Optimizer:
    """An optimizer with gradients and state."""
    params = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    for i, p in enumerate(params):
        if p.dim() == 4:
            p = params[i] = p.detach().to(memory_format=torch.channels_last).requires_grad_()
        p.grad = torch.full_like(p, 1e-3)
    optimizer: torch.optim.Optimizer = make(params)
    for _ in range(11 if isinstance(optimizer, AdaShift) else 2):  # its memory is full then
        optimizer.step()
    return optimizer


def traffic(optimizer: torch.optim.Optimizer) -> int:
    """Bytes that a step reads and writes at least."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    size = sum(p.numel() * p.element_size() for p in params)
    state = {
        name: sum(entry[name].numel() * entry[name].element_size() for entry in optimizer.state.values())
        for name in optimizer.state[params[0]]
    }
    ring = 2 * size if state.pop("grads", 0) else 0  # of AdaShift's, one slot is read and written
    return 3 * size + 2 * sum(state.values()) + ring


def bandwidth(size: int) -> float:
    """Bytes that `x.mul_(1)` reads and writes a second of CPU time."""
    x = torch.ones(size // 8)
    times = []
    for _ in range(8):
        start = time.process_time()
        x.mul_(1)
        times.append(time.process_time() - start)
    return 2 * x.numel() * 4 / min(times)


def temporary_memory(optimizer: torch.optim.Optimizer) -> float:
    """Peak of what one step allocates, in MiB."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        optimizer.step()
    total = peak = 0
    kineto = profile.profiler.kineto_results.events() if profile.profiler else []
    for event in sorted((e for e in kineto if e.name() == "[memory]"), key=lambda event: event.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak / 2**20


# -- over the processes ------------------------------------------------------------------------------------------------


def fresh(table: dict[str, Any], limit: float, seconds: float, first: bool) -> dict[str, Any] | None:
    """`measure` in a process bound to as many processors as threads; None if that lasts longer than the limit."""
    threads = table.get("threads", 1)
    processors = sorted(os.sched_getaffinity(0))[-threads:]
    given = json.dumps({**table, "seconds": seconds, "first": first})
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--table", given], capture_output=True, text=True, check=False, timeout=limit,
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout))


def report(name: str, table: dict[str, Any], results: list[dict[str, Any]]) -> None:
    elements = sum(torch.Size(shape).numel() for shape in table["shapes"]) / 1e6
    speed = max(result["bandwidth"] for result in results)
    turns = sum(len(next(iter(result["wall"].values()))) for result in results)
    all_threads = f"{speed * table.get('threads', 1) / 1e9:.1f} GB/s"
    print(f"\n{name} ({elements:.1f} M parameters; {len(results)} processes, {turns} turns; {all_threads})\n")
    print("| optimizer | wall ms | CPU ms | wall / Adam's | CPU / Adam's | of the bound | temporaries MiB |")
    print("|---|---|---|---|---|---|---|")
    for optimizer in table["optimizers"]:
        reference = "Adam fused" if optimizer.endswith("fused") else "Adam foreach"
        wall, cpu = (median(ms for result in results for ms in result[kind][optimizer]) for kind in ("wall", "cpu"))
        fastest = min(ms for result in results for ms in result["cpu"][optimizer])
        share = results[0]["moved"][optimizer] / speed / (fastest / 1e3)
        print(
            f"| {optimizer} | {wall:.2f} | {cpu:.2f} | {ratio(results, 'wall', optimizer, reference)} "
            f"| {ratio(results, 'cpu', optimizer, reference)} | {share:.0%} "
            f"| {results[0]['temporaries'][optimizer]:.1f} |"
        )


def ratio(results: list[dict[str, Any]], kind: str, optimizer: str, reference: str) -> str:
    """The median over all turns, and the lowest and highest median of a process."""
    each = [
        [a / b for a, b in zip(result[kind][optimizer], result[kind][reference], strict=True)] for result in results
    ]
    middles = [median(turns) for turns in each]
    if optimizer == reference:
        return "1"
    return f"{median(chain(*each)):.2f} [{min(middles):.2f}, {max(middles):.2f}]"


def first_call(cache: str) -> float:
    """Seconds of a fresh process's first fused step, without kernels that came with the package."""
    script = (
        "import time, torch, acprop; from acprop.optim import kernel; from pathlib import Path; "
        "kernel.PACKAGE = Path('nowhere'); p = torch.zeros(9, requires_grad=True); p.grad = torch.ones(9); "
        "o = acprop.ACProp([p], fused=True); start = time.perf_counter(); o.step(); print(time.perf_counter() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
        env={**os.environ, "XDG_CACHE_HOME": cache},
    )  # fmt: skip
    return float(done.stdout)


# -- how quiet the machine was -----------------------------------------------------------------------------------------


def processor_time() -> list[float]:
    """Seconds of all processors since the start: busy for someone or stolen by another guest, and idle."""
    fields = [
        int(field) / os.sysconf("SC_CLK_TCK") for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    ]
    idle = fields[3] + fields[4]
    return [sum(fields) - idle, idle]


def idle_share(before: list[float]) -> float:
    busy, idle = (now - then for now, then in zip(processor_time(), before, strict=True))
    return idle / max(1e-9, busy + idle)


def used_by_children(before: os.times_result) -> float:
    now = os.times()
    return sum(now[:4]) - sum(before[:4])


def machine() -> str:
    from acprop.runs.environment import _cpu_name

    return f"{_cpu_name()}, {len(os.sched_getaffinity(0))} processors, torch {torch.__version__}"


def shapes_of(net: str) -> list[list[int]]:
    from experiments.images import models

    return [list(p.shape) for p in getattr(models, net)(num_classes=10, in_channels=3, width=1.0).parameters()]


if __name__ == "__main__":
    main()
