"""What an optimizer costs a training: on every net of the study, the whole step (forward, backward, optimizer) beside
Adam's, the optimizer's share of it, and its memory: state, and what a step allocates. Seven minutes.

    python scripts/bench_cost.py [--seconds 25] [--only resnet34]

Nets and batches are those of scale=study, on random input and one thread, every optimizer as conf/optimizer has it.
Each optimizer trains a copy of its own; in a process all take turns, and a step's time is divided by that of Adam in
the same turn. A ratio is the median over all turns of two processes, in brackets the two medians. How quiet the machine
was is said at the end.
"""

import argparse
import copy
import itertools
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop import AdaShift
from acprop.runs.conf import CONF, options
from acprop.runs.launch import build
from scripts.bench_optimizer import (
    QUIET,
    idle_share,
    machine,
    processor_time,
    ratio,
    temporary_memory,
    used_by_children,
)
from scripts.bench_throughput import LAYOUT, configure

PROCESSES = 2
OPTIMIZERS = options(CONF / "optimizer")
REFERENCE = "adam"


# -- nets: each makes, of an optimizer's name, a training step and the optimizers that it steps ----------------------

Step = tuple[Callable[[], object], list[torch.optim.Optimizer]]


def images(model: str) -> Callable[[str], Step]:
    from experiments.images.train import train_step

    cfg = configure("cifar", "dataset=fashion_mnist", f"model={model}", "scale=study", "tuned=none")
    torch.manual_seed(0)
    net = build("model", cfg.model, num_classes=10, in_channels=1).to(memory_format=LAYOUT)
    x = torch.randn(cfg.batch_size, 1, 32, 32).to(memory_format=LAYOUT)
    y, totals = torch.randint(10, (cfg.batch_size,)), torch.zeros(4, dtype=torch.float64)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step(name: str) -> Step:
        own = copy.deepcopy(net)
        optimizer = made(name, own)
        return lambda: train_step(own, optimizer, x, y, cfg.precision, totals, scaler, len(x)), [optimizer]

    return step


def gan(model: str) -> Callable[[str], Step]:
    from experiments.gan.train import gan_step

    cfg = configure("gan", "dataset=fashion_mnist", f"model={model}", "scale=study", "tuned=none")
    torch.manual_seed(0)
    game = build("model", cfg.model, num_classes=10, in_channels=1)
    x, y = torch.rand(cfg.batch_size, 1, 32, 32) * 2 - 1, torch.randint(10, (cfg.batch_size,))
    reals = itertools.repeat((x.to(memory_format=LAYOUT), y))
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step(name: str) -> Step:
        own = copy.deepcopy(game)
        nets = [net.to(memory_format=LAYOUT) for net in (own.generator, own.discriminator)]
        g, d = (made(name, net) for net in nets)
        return partial(gan_step, own, g, d, reals, cfg.batch_size, cfg.precision, torch.zeros(2), scaler), [g, d]

    return step


def dqn(dataset: str) -> Callable[[str], Step]:
    from stable_baselines3.common.vec_env import DummyVecEnv

    from experiments.rl.train import make_agent

    def step(name: str) -> Step:
        cfg = configure("rl", f"dataset={dataset}", "model=dqn", f"optimizer={name}", "tuned=none", "scale=paper")
        environment = build("dataset", cfg.dataset)
        agent: Any = make_agent(cfg, DummyVecEnv([environment.make]), torch.device("cpu"))
        agent.learn(cfg.model.learning_starts + cfg.model.batch_size)
        return partial(agent.train, 1, cfg.model.batch_size), [agent.policy.optimizer]

    return step


def transformer(pair: str) -> Callable[[str], Step]:
    """torch's own, of the sizes of the study's: fairseq's is made by its tools alone."""
    cfg = configure("transformer", f"dataset={pair}", "scale=study", "tuned=none")
    width, words, length = int(512 * cfg.width), cfg.bpe_merges, 16
    torch.manual_seed(0)
    net = nn.ModuleDict(
        {
            "embed": nn.Embedding(words, width),
            "core": nn.Transformer(width, 4, cfg.layers, cfg.layers, 2 * width, cfg.dropout, batch_first=True),
            "out": nn.Linear(width, words),
        }
    )
    source, target = (torch.randint(words, (cfg.max_tokens // length, length)) for _ in range(2))

    def step(name: str) -> Step:
        own = copy.deepcopy(net)
        optimizer = made(name, own)

        def one() -> None:
            optimizer.zero_grad()
            hidden = own["core"](own["embed"](source), own["embed"](target))
            nn.functional.cross_entropy(own["out"](hidden).flatten(0, 1), target.flatten()).backward()
            optimizer.step()

        return one, [optimizer]

    return step


def made(name: str, net: nn.Module) -> torch.optim.Optimizer:
    """The optimizer as conf/optimizer has it."""
    optimizer: torch.optim.Optimizer = build("optimizer", optimizers()[name], net.parameters())
    return optimizer


@cache
def optimizers() -> dict[str, Any]:
    return {name: configure("cifar", f"optimizer={name}", "tuned=none").optimizer for name in OPTIMIZERS}


NETS: dict[str, Callable[[], Callable[[str], Step]]] = {
    **{model: partial(images, model) for model in ("vgg11", "resnet34", "densenet121")},
    **{model: partial(gan, model) for model in ("dcgan", "sngan")},
    "transformer": partial(transformer, "catalogues_de_en"),
    "dqn": partial(dqn, "four_rooms"),
}


# -- in a process of its own -------------------------------------------------------------------------------------------


def measure(net: str, seconds: float) -> dict[str, Any]:
    """Milliseconds of each step of each optimizer, and of the optimizer's part in it; bytes of state for each element
    that is trained; temporaries in MiB."""
    torch.set_num_threads(1)
    make = NETS[net]()
    cells = {name: make(name) for name in OPTIMIZERS}
    parts: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
    for name, (step, steps) in cells.items():
        for _ in range(11 if isinstance(steps[0], AdaShift) else 2):  # its memory is full then
            step()
        for optimizer in steps:
            timed(optimizer, parts[name])
        parts[name].clear()
    names = list(OPTIMIZERS)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    share: dict[str, list[float]] = {name: [] for name in names}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(wall[names[0]]) < 2:
        names.append(names.pop(0))  # each follows each other one
        for name in names:
            parts[name].clear()
            start = time.perf_counter(), time.process_time()
            cells[name][0]()
            wall[name].append((time.perf_counter() - start[0]) * 1e3)
            cpu[name].append((time.process_time() - start[1]) * 1e3)
            share[name].append(sum(parts[name]) / wall[name][-1])
    state = {name: sum(map(state_bytes, steps)) / sum(map(elements, steps)) for name, (_, steps) in cells.items()}
    temporaries = {name: max(map(temporary_memory, steps)) for name, (_, steps) in cells.items()}
    return {"wall": wall, "cpu": cpu, "share": share, "state": state, "temporaries": temporaries}


def timed(optimizer: torch.optim.Optimizer, parts: list[float]) -> None:
    """Adds the milliseconds of each of its steps to `parts`."""
    own = optimizer.step

    def step(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        found = own(*args, **kwargs)
        parts.append((time.perf_counter() - start) * 1e3)
        return found

    optimizer.step = step  # type: ignore[method-assign]


def trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def elements(optimizer: torch.optim.Optimizer) -> int:
    return sum(p.numel() for p in trained(optimizer))


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    entries = [value for entry in optimizer.state.values() for value in entry.values() if torch.is_tensor(value)]
    return sum(value.numel() * value.element_size() for value in entries)


# -- over the processes ------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=25, help="of a net in a process")
    parser.add_argument("--only", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--net", help=argparse.SUPPRESS)  # measure this one, in this process
    arguments = parser.parse_args()
    if arguments.net:
        print(json.dumps(measure(arguments.net, arguments.seconds)))
        return
    before, own = processor_time(), os.times()
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for net in [*arguments.only] * PROCESSES:
        results[net].append(fresh(net, arguments.seconds))
    others = 1 - used_by_children(own) / max(1e-9, sum(processor_time()) - sum(before)) - idle_share(before)
    for net in arguments.only:
        report(net, results[net])
    quiet = "quiet" if others < QUIET else f"NOT QUIET (quiet is below {QUIET:.0%}): do not print these figures"
    print(f"\n{machine()}. Others took {others:.0%} of its processors meanwhile: {quiet}.")


def fresh(net: str, seconds: float) -> dict[str, Any]:
    """`measure` in a process bound to one processor."""
    last = max(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, __file__, "--net", net, "--seconds", str(seconds)], capture_output=True, text=True,
        check=False, preexec_fn=lambda: os.sched_setaffinity(0, [last]),
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(net: str, results: list[dict[str, Any]]) -> None:
    turns = sum(len(result["wall"][REFERENCE]) for result in results)
    print(f"\n{net} ({len(results)} processes, {turns} turns)\n")
    print(
        "| optimizer | wall ms | wall / Adam's | CPU / Adam's | optimizer's share | state B/param | temporaries MiB |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in OPTIMIZERS:
        wall, share = (median(x for result in results for x in result[kind][name]) for kind in ("wall", "share"))
        print(
            f"| {name} | {wall:.2f} | {ratio(results, 'wall', name, REFERENCE)} "
            f"| {ratio(results, 'cpu', name, REFERENCE)} | {share:.1%} | {results[0]['state'][name]:.1f} "
            f"| {results[0]['temporaries'][name]:.2f} |"
        )


if __name__ == "__main__":
    main()
