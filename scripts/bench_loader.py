"""Images per second of the ImageNet runner's loader beside a bare torchvision DataLoader with the same transforms.

python scripts/bench_loader.py [--folder FOLDER] [--workers N]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acprop.runs.environment import available_cores
from experiments.images.files import MEAN, STD, image_folder, one_thread
from scripts.make_jpegs import make

BATCH, SIZE = 64, 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="of train/CLASS/* and val/CLASS/*; default: generated JPEG files")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each kind, interleaved")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        if not arguments.folder:
            make(folder, train=100, val=1)
        measure(folder, arguments.workers, arguments.rounds)


def measure(folder: Path, workers: int, rounds: int) -> None:
    suite = image_folder(str(folder), SIZE, 256).to(torch.device("cpu"), workers)
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
        ]
    )  # fmt: skip
    images = ImageFolder(str(folder / "train"), transform)
    bare = DataLoader(images, BATCH, shuffle=True, num_workers=workers, worker_init_fn=one_thread)
    kinds: dict[str, Callable[[int], object]] = {
        "bare": lambda epoch: list(bare), "suite": lambda epoch: list(suite.train_batches(0, epoch, BATCH)),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for epoch in range(rounds + 1):
        for name, read in kinds.items():
            start = time.perf_counter()
            read(epoch)
            if epoch:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    print(f"{len(images)} files, {SIZE} x {SIZE}, batch {BATCH}, {workers} workers; median of {rounds} epochs")
    for name, values in seconds.items():
        print(f"  {name:6} {len(images) / median(values):7.1f} images/s")
    pairs = zip(seconds["bare"], seconds["suite"], strict=True)
    print(f"suite / bare, images per second: {median(b / s for b, s in pairs):.3f}")


if __name__ == "__main__":
    main()
