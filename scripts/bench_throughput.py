"""How much of each task a core of this machine does: what the sizes in conf/<task>/scale/study.yaml are chosen by.

    python scripts/bench_throughput.py [images] [gan] [rl] [transformer] [--seconds 4]

One thread, CPU time, so that other work on the machine counts little. The loops are the suite's own, on Fashion-MNIST,
four-rooms and generated sentences: a few seconds of training each, without start-up, after a first step that warms up.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop.runs.compose import composed
from acprop.runs.launch import build

LAYOUT = torch.channels_last


def configure(task: str, *overrides: str) -> DictConfig:
    return composed(task, *overrides, "threads=1", "tracking=none")


def rate(step: Callable[[], object], seconds: float) -> float:
    """Calls a second of CPU time."""
    step()
    start = time.process_time()
    for count in itertools.count(1):
        step()
        if (took := time.process_time() - start) > seconds:
            return count / took
    raise AssertionError


def images(seconds: float) -> None:
    from experiments.images.data import fashion_mnist
    from experiments.images.train import evaluate, train_step

    def train_on(batches: Iterator[tuple[Tensor, Tensor]], net: nn.Module, optimizer: Optimizer, *how: Any) -> None:
        train_step(net, optimizer, *next(batches), *how)

    device = torch.device("cpu")
    data = fashion_mnist().to(device)
    tested = data.hold_out(1000 / data.train_size).to(device)
    print("images/s to train on (batch 128, 256), and to test on, Fashion-MNIST as 32x32")
    nets = [("vgg11", 0.125), ("vgg11", 0.25), ("resnet34", 0.0625), ("resnet34", 0.125), ("densenet121", 0.125)]
    for (model, width), precision in itertools.product(nets, ("fp32", "bf16")):
        cfg = configure("cifar", "dataset=fashion_mnist", f"model={model}", f"width={width}")
        net = build("model", cfg.model, num_classes=10, in_channels=1).to(memory_format=LAYOUT)
        optimizer = build("optimizer", cfg.optimizer, net.parameters())
        scaler, totals = torch.amp.GradScaler("cpu", enabled=False), torch.zeros(4, dtype=torch.float64)
        rates = []
        for size in (128, 256):
            batches = data.train_batches(0, 0, size, memory_format=LAYOUT)
            one = partial(train_on, batches, net, optimizer, precision, totals, scaler, size)
            rates.append(size * rate(one, seconds))
        start = time.process_time()
        evaluate(net, tested, precision, LAYOUT, device)
        rates.append(tested.test_size / (time.process_time() - start))
        parameters = sum(p.numel() for p in net.parameters())
        print(f"  {model:12}{width:<8}{precision:6}{parameters:9,}" + "".join(f"{r:9,.0f}" for r in rates), flush=True)


def gan(seconds: float) -> None:
    from experiments.gan.train import gan_step, pixels_in_unit_range
    from experiments.images.data import fashion_mnist

    data = pixels_in_unit_range(fashion_mnist(), mirror=True).to(torch.device("cpu"))
    print("generator steps/s of a GAN (batch 64), with the discriminator's steps before each")
    nets = (("dcgan", 0.25), ("dcgan", 0.125), ("sngan", 0.125), ("sngan", 0.0625))
    for (model, width), precision in itertools.product(nets, ("fp32", "bf16")):
        cfg = configure("gan", "dataset=fashion_mnist", f"model={model}", f"width={width}")
        game = build("model", cfg.model, num_classes=10, in_channels=1)
        g, d = (net.to(memory_format=LAYOUT) for net in (game.generator, game.discriminator))
        optimizers = [build("optimizer", cfg.optimizer, net.parameters()) for net in (g, d)]
        reals, losses = data.endless_batches(0, 64, memory_format=LAYOUT), torch.zeros(2)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        one = partial(gan_step, game, optimizers[0], optimizers[1], reals, 64, precision, losses, scaler)
        print(f"  {model:12}{width:<8}{precision:6}{rate(one, seconds):9.2f}", flush=True)


def rl(seconds: float) -> None:
    from experiments.rl.train import train

    print("seconds for 1,000 environment steps of DQN, with their evaluations at every 500")
    for dataset in ("four_rooms", "cartpole", "acrobot", "minigrid_empty"):
        took = []
        for steps in (1000, 3000):
            cfg = configure(
                "rl", f"dataset={dataset}", "tuned=none", f"steps={steps}", "optimizer=adam", "eval_every=500"
            )
            start = time.process_time()
            train(cfg)
            took.append(time.process_time() - start)
        print(f"  {dataset:20}{(took[1] - took[0]) / 2:9.2f}", flush=True)


def transformer(seconds: float) -> None:
    from experiments.transformer.translate import train

    print("target words/s of fairseq, of an epoch with its validation (2,000 pairs, batch 4,096 tokens)")
    for layers, width in ((2, 0.25), (2, 0.5), (3, 0.5)):
        took, words = [], 0
        for epochs in (1, 3):
            cfg = configure(
                "transformer", "dataset=cldr_de_en", f"layers={layers}", f"width={width}", f"epochs={epochs}",
                "average_last=1", "sentences=2000", "held_out=50", "max_tokens=4096", "optimizer=adam",
            )  # fmt: skip
            before = getrusage(RUSAGE_CHILDREN)
            with redirect_stdout(None):
                train(cfg)
            after = getrusage(RUSAGE_CHILDREN)
            took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            corpus = build("dataset", cfg.dataset)
            words = len((corpus.folder.parent / f"train.{corpus.target}").read_text().split())
        print(f"  {layers} + {layers} layers, width {width:<6}{2 * words / (took[1] - took[0]):9,.0f}", flush=True)


TASKS = {"images": images, "gan": gan, "rl": rl, "transformer": transformer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", choices=[*TASKS, []], help="default: all of them")
    parser.add_argument("--seconds", type=float, default=4, help="of CPU time for each number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACPROP_RUNS"] = folder
        for task in arguments.tasks or TASKS:
            TASKS[task](arguments.seconds)


if __name__ == "__main__":
    main()
