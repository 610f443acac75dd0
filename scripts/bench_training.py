"""What the suite costs per training step, and what bf16 with channels_last brings. Ratios from one run, side by side.

    python scripts/bench_training.py [--threads 2] [--steps 4]

ResNet-34 at 32x32, batch 128, full width, ACProp. The bare loop is forward, backward and optimizer step on one fixed
batch; the suite's is what `experiments.cifar` runs: data, augmentation, step, totals, pause points. Telemetry is what
one look at an optimizer step costs beside the step, spread over the 50 steps of `telemetry=50`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop.runs import Run
from acprop.runs.compose import composed
from acprop.runs.launch import build
from acprop.runs.telemetry import Telemetry
from experiments.images.data import ImageData
from experiments.images.train import autocast, train_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of each kind, interleaved")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACPROP_RUNS"] = folder
        measure(arguments.threads, arguments.steps)


def measure(threads: int, steps: int) -> None:
    cell = ("dataset=cifar10", "model=resnet34", "scale=paper", f"threads={threads}")
    cfg = composed("cifar", *cell, "tracking.mode=offline")
    images = torch.randint(0, 256, ((steps + 2) * 128, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (len(images),))
    data = ImageData(images, labels, images, labels, (0.5,) * 3, (0.25,) * 3, 10, flip=True).to(torch.device("cpu"))

    scaler = torch.amp.GradScaler("cpu", enabled=False)
    kinds: dict[str, Callable[[], object]] = {}
    with Run.open(cfg) as run:
        for name, precision, layout in (
            ("fp32 contiguous", "fp32", torch.contiguous_format),
            ("fp32 channels_last", "fp32", torch.channels_last),
            ("bf16 channels_last", "bf16", torch.channels_last),
        ):
            model = build("model", cfg.model, num_classes=10, in_channels=3).to(memory_format=layout)
            optimizer = build("optimizer", cfg.optimizer, model.parameters())
            x, y = next(data.train_batches(0, 0, 128, memory_format=layout))
            totals = torch.zeros(4, dtype=torch.float64)
            batches = run.batches(data.train_batches(0, 0, 128, memory_format=layout))

            def bare(model=model, optimizer=optimizer, x=x, y=y, precision=precision):
                with autocast(x.device, precision):
                    loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

            def suite(model=model, optimizer=optimizer, batches=batches, precision=precision, totals=totals):
                x, y = next(batches)
                train_step(model, optimizer, x, y, precision, totals, scaler, len(y))

            kinds[f"{name}, bare"] = bare
            kinds[f"{name}, suite"] = suite
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        for step in range(steps + 1):
            for name, call in kinds.items():
                start = time.perf_counter()
                call()
                if step:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
        look = time_telemetry(run, optimizer, steps)

    print(f"ResNet-34, 32x32, batch 128, {threads} threads, torch {torch.__version__}; median of {steps} steps")
    times = {name: median(values) for name, values in seconds.items()}
    for name, value in times.items():
        print(f"  {name:28} {value:7.3f} s/step  {128 / value:6.1f} images/s")
    for name in ("fp32 contiguous", "fp32 channels_last", "bf16 channels_last"):
        # each suite step beside the bare step just before it: drift of the machine cancels
        pairs = zip(seconds[f"{name}, suite"], seconds[f"{name}, bare"], strict=True)
        print(f"suite / bare, {name}: {median(s / b for s, b in pairs):.3f}")
    pairs = zip(seconds["fp32 contiguous, suite"], seconds["bf16 channels_last, suite"], strict=True)
    print(f"bf16 channels_last / fp32 contiguous, images per second: {median(a / b for a, b in pairs):.2f}")
    step_time = times["bf16 channels_last, suite"]
    print(f"telemetry=50 / step without it, bf16 channels_last: {1 + look / 50 / step_time:.4f}")


def time_telemetry(run: Run, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Seconds that a sampled optimizer step takes beyond one that is not, gradients being what they are."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.zeros_like(p)
    Telemetry(run, "update", optimizer, every=2)
    took: dict[int, list[float]] = {0: [], 1: []}
    for number in range(2 * steps + 2):
        run.step = 1000 + number
        start = time.perf_counter()
        optimizer.step()
        took[number % 2].append(time.perf_counter() - start)
    run.step = 0
    return median(took[0][1:]) - median(took[1][1:])


if __name__ == "__main__":
    main()
