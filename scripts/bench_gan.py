"""What the suite costs per GAN step beside a plain loop of the same step. Ratios from one run, interleaved.

    python scripts/bench_gan.py [--model sngan] [--threads 2] [--steps 10] [--width 0.25]

Batch 64, CIFAR-10's shape, ACProp. The plain loop holds its batches ready and knows neither data set nor run; the
suite's is what `experiments.gan` runs: data, mirroring, step, pause points. Both call the same networks in the same
order, so what is compared is everything around them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop.runs import Run
from acprop.runs.compose import composed
from acprop.runs.launch import build
from experiments.gan.losses import LOSSES
from experiments.gan.train import gan_step, pixels_in_unit_range
from experiments.images.data import ImageData


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sngan", choices=("dcgan", "rlgan", "sngan", "sagan"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each kind")
    parser.add_argument("--width", type=float, default=0.25, help="times the paper's channels; 1 on a GPU")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACPROP_RUNS"] = folder
        measure(**vars(arguments))


def measure(model: str, threads: int, steps: int, width: float) -> None:
    overrides = ["dataset=cifar10", f"model={model}", "scale=paper", f"width={width}", f"threads={threads}"]
    cfg = composed("gan", *overrides, "tracking.mode=offline")
    images = torch.randint(0, 256, (2000, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (len(images),))
    half = (0.5,) * 3

    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with Run.open(cfg) as run:
        data = ImageData(images, labels, images, labels, half, half, 10, flip=True)
        data = pixels_in_unit_range(data, cfg.mirror).to(run.device)
        batches = data.endless_batches(0, cfg.batch_size, memory_format=torch.channels_last)
        ready = cycle([next(batches) for _ in range(4)])
        pauses = run.batches(range(10**9))

        def kind(in_suite: bool) -> Callable[[], None]:
            gan = build("model", cfg.model, num_classes=10, in_channels=3)
            gan.to(run.device, torch.channels_last)
            nets = (gan.generator, gan.discriminator)
            g_optimizer, d_optimizer = (build("optimizer", cfg.optimizer, net.parameters()) for net in nets)
            losses = torch.zeros(2, device=run.device, dtype=torch.float64)
            reals = batches if in_suite else ready

            def step() -> None:
                gan_step(gan, g_optimizer, d_optimizer, reals, cfg.batch_size, cfg.precision, losses, scaler)
                if in_suite:
                    next(pauses)
                losses[0].item()  # a GPU has then really finished

            return step

        kinds = {"plain": kind(False), "suite": kind(True)}
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(steps + 1):
            for name in sorted(kinds, reverse=bool(number % 2)):  # who goes first alternates
                start = time.perf_counter()
                kinds[name]()
                if number:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)

    real = cfg.batch_size * (cfg.model.d_steps + LOSSES[cfg.model.loss].relativistic)
    print(
        f"{model}, width {width}, batch {cfg.batch_size}, {threads} threads, torch {torch.__version__}, {steps} steps"
    )
    for name, values in seconds.items():
        print(f"  {name}  {median(values):7.3f} s/step  {real / median(values):7.1f} real images/s")
    ratio = median(p / s for p, s in zip(seconds["plain"], seconds["suite"], strict=True))
    print(f"images per second, suite / plain: {ratio:.3f}")


if __name__ == "__main__":
    main()
