"""Makes a folder of JPEG files to try the ImageNet runner on: scikit-learn's digits, enlarged and coloured at random.

python scripts/make_jpegs.py FOLDER
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from experiments.images.data import digits_8x8


def make(folder: Path, train: int, val: int) -> None:
    """`train` and `val` images a class in folder/{train,val}/CLASS, of 100 to 180 pixels a side; the same always."""
    random = np.random.default_rng(0)
    images, labels = digits_8x8()
    for label in range(10):
        pictures = images[labels == label][: train + val] / 16
        for number, picture in enumerate(pictures):
            ink, paper = random.integers(0, 256, (2, 3))
            colours = (picture[..., None] * ink + (1 - picture[..., None]) * paper).astype(np.uint8)
            path = folder / ("train" if number < train else "val") / f"digit{label}" / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            width, height = random.integers(100, 181, 2)
            Image.fromarray(colours).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(path, quality=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=60, help="images a class to train on")
    parser.add_argument("--val", type=int, default=20, help="images a class to test on")
    arguments = parser.parse_args()
    make(arguments.folder, arguments.train, arguments.val)
