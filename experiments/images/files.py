"""Image sets that lie in folders, a folder a class, and are read from there by worker processes: ImageNet, Imagenette,
or anyone's own.

What an image goes through is a function of (seed, epoch, image) alone: the same with any number of workers and of
training processes, and after a resume. A file that cannot be read is reported, counted and left out of loss and
accuracy.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension
from torchvision.transforms import v2

from acprop.runs import UsageError, data_root, environment, require
from acprop.runs.download import download
from experiments.images.data import IGNORED, Images, generator, parts, share_of, subset
from experiments.images.unpack import DEVKIT, TRAIN, VAL, unpack

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as everyone normalises it
EVAL_BATCH = 256
IMAGENET_SIZE = (1_281_167, 50_000)


class Samples:
    """Paths and labels, as two arrays: of 1.28 million tuples, every worker that looks at one gets a copy of the page
    that its reference count is on, and in the end of nearly all (torch's issue 13246)."""

    def __init__(self, paths: NDArray[np.bytes_], labels: NDArray[np.int64]) -> None:
        self.paths, self.labels = paths, labels

    @classmethod
    def of(cls, samples: Sequence[tuple[str, int]]) -> "Samples":
        return cls(np.array([os.fsencode(path) for path, _ in samples]), np.array([label for _, label in samples]))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return os.fsdecode(self.paths[index]), int(self.labels[index])

    def take(self, index: Tensor) -> "Samples":
        return Samples(self.paths[index.numpy()], self.labels[index.numpy()])


@dataclass
class ImageFiles(Images):
    """A train and a test set of files.

    Attributes:
        train, test: their paths and labels.
        size: of the squares that a network gets, in pixels.
        resize: of the shorter side of a test image, from whose centre the square is cut.
    """

    train: Samples
    test: Samples
    num_classes: int
    size: int
    resize: int
    published: bool = True
    channels: int = 3
    unreadable: set[str] = field(default_factory=set)

    @property
    def train_size(self) -> int:
        return len(self.train)

    @property
    def test_size(self) -> int:
        return len(self.test)

    def first(self, size: int) -> "ImageFiles":
        return replace(self, train=self.train.take(subset(len(self.train), size)))

    def hold_out(self, share: float) -> "ImageFiles":
        kept, held_out = (self.train.take(index) for index in parts(len(self.train), share))
        return replace(self, train=kept, test=held_out)

    def to(self, device: torch.device, workers: int | None = None) -> "ImageFiles":
        require(workers is None or workers >= 0, "workers", workers, "a number of processes, or null for one a core")
        self.device = device
        self.workers = environment.cores_of_this_process() if workers is None else workers
        self._scale = torch.tensor(STD, device=device).mul(255).reciprocal().view(1, -1, 1, 1)
        self._shift = torch.tensor(MEAN, device=device).div(torch.tensor(STD, device=device)).view(1, -1, 1, 1)
        return self

    def train_batches(
        self, seed: int, epoch: int, batch_size: int, start: int = 0,
        memory_format: torch.memory_format = torch.contiguous_format, rank: int = 0, world: int = 1,
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        order = torch.randperm(len(self.train), generator=generator(seed, epoch))
        shares = [share_of(index, rank, world) for index in order.split(batch_size)[start:]]
        transform = v2.Compose([v2.RandomResizedCrop(self.size), v2.RandomHorizontalFlip(), v2.PILToTensor()])
        files = Files(self.train, transform, self.size, seed, epoch)
        batches = self._load(files, [index for index, _ in shares], memory_format)
        for (x, y), (_, counts) in zip(batches, shares, strict=True):
            yield x, y if counts else torch.full_like(y, IGNORED)

    def test_batches(
        self, memory_format: torch.memory_format = torch.contiguous_format, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        transform = v2.Compose([v2.Resize(self.resize), v2.CenterCrop(self.size), v2.PILToTensor()])
        own = torch.arange(len(self.test))[rank::world]
        batches = [index for index in own.split(EVAL_BATCH) if len(index)]
        yield from self._load(Files(self.test, transform, self.size, 0, 0), batches, memory_format)

    def _load(
        self, files: "Files", batches: list[Tensor], memory_format: torch.memory_format
    ) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(
            files, batch_sampler=map(Tensor.tolist, batches), num_workers=self.workers, collate_fn=collate,
            pin_memory=self.device.type == "cuda", worker_init_fn=one_thread,
            generator=torch.Generator(),  # of its own: how images are read leaves the run's random numbers alone
        )  # fmt: skip
        for images, labels, unreadable in loader:
            for index in unreadable:
                self._report(files.samples[index][0])
            x = images.to(self.device, non_blocking=True).float().mul_(self._scale).sub_(self._shift)
            yield x.contiguous(memory_format=memory_format), labels.to(self.device, non_blocking=True)

    def _report(self, path: str) -> None:
        if path not in self.unreadable:
            self.unreadable.add(path)
            print(
                f"warning: {path} is no readable image; it is left out ({len(self.unreadable)} so far)", file=sys.stderr
            )


def one_thread(worker: int) -> None:
    torch.set_num_threads(1)


Item = tuple[Tensor, int, int]  # image, label, position in the list of samples


def collate(items: list[Item]) -> tuple[Tensor, Tensor, list[int]]:
    """A batch's images and labels, and the positions of those that could not be read."""
    images, labels, positions = zip(*items, strict=True)
    unreadable = [position for position, label in zip(positions, labels, strict=True) if label == IGNORED]
    return default_collate(list(images)), torch.tensor(labels), unreadable


class Files(Dataset[Item]):
    """`files[i]`: the i-th image in an epoch, uint8 (3, size, size), with its label; a blank with `IGNORED` if it is
    unreadable."""

    def __init__(self, samples: Samples, transform: Callable[[Any], Tensor], size: int, seed: int, epoch: int) -> None:
        self.samples, self.transform, self.size, self.seed, self.epoch = samples, transform, size, seed, epoch

    def __getitem__(self, index: int) -> Item:
        path, label = self.samples[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except Exception:  # Pillow's decoders raise whatever they meet
            return torch.zeros(3, self.size, self.size, dtype=torch.uint8), IGNORED, index
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(self.seed, self.epoch, index).initial_seed())
            return self.transform(image), label, index


# -- the sets ----------------------------------------------------------------------------------------------------------


def image_folder(path: str | None, size: int, resize: int) -> ImageFiles:
    """Any folder with `train` and `val` (or `test`), a folder a class in each; or with class folders alone, of which a
    tenth of the images is then the test set."""
    require(path is not None, "dataset.path", path, "name the folder that holds train/CLASS/*.jpg and val/CLASS/*.jpg")
    root = Path(str(path)).expanduser()
    if not root.is_dir():
        raise UsageError(
            f"dataset.path={path}: there is no such folder; it must hold train/CLASS/*.jpg and val/CLASS/*.jpg"
        )
    if not (root / "train").is_dir():
        whole = _folder(root)
        files = ImageFiles(whole.samples, whole.samples, len(whole.classes), size, resize, published=False)
        return files.hold_out(0.1)
    test = next((root / name for name in ("val", "test") if (root / name).is_dir()), None)
    if test is None:
        raise UsageError(f"dataset.path={path}: it has train but neither val nor test; add one of them")
    return _two_folders(root / "train", test, size, resize, published=False)


def imagenet(size: int, resize: int) -> ImageFiles:
    """ILSVRC 2012: `{train,val}/CLASS/*.JPEG` in `$ACPROP_DATA/imagenet`, or the original tar files, which are checked
    and unpacked there once, together with what is unpacked already."""
    root = data_root() / "imagenet"
    unpack(root)
    archives = {"train": TRAIN, "val": VAL}
    if missing := [f"{part}/ and {archives[part]}" for part in archives if not (root / part).is_dir()]:
        raise UsageError(
            f"dataset=imagenet: {', '.join(missing)} are not in {root}; place the folder or the tar file there, for "
            f"val's also {DEVKIT} (image-net.org gives them to who registers), or set ACPROP_DATA; "
            "`make imagenet-smoke` runs now, on generated images"
        )
    files = _two_folders(root / "train", root / "val", size, resize, published=True)
    whole = (files.train_size, files.test_size, files.num_classes) == (*IMAGENET_SIZE, 1000)
    return replace(files, published=whole)


def imagenette(size: int, resize: int) -> ImageFiles:
    """Ten easy classes of ImageNet (Howard 2019), shorter side 320 pixels; downloaded by checksum if missing."""
    from torchvision.datasets import Imagenette
    from torchvision.datasets.utils import extract_archive

    url, checksum = Imagenette._ARCHIVES["320px"]
    root, archive = data_root() / "imagenette2-320", data_root() / Path(url).name
    if not root.is_dir():
        download("imagenette", [url], archive, checksum)
        part = data_root() / ".imagenette"  # what stands at `root` is whole
        extract_archive(str(archive), str(part))
        (part / root.name).rename(root)
        part.rmdir()
    return _two_folders(root / "train", root / "val", size, resize, published=True)


def _two_folders(train: Path, test: Path, size: int, resize: int, published: bool) -> ImageFiles:
    one, other = _folder(train), _folder(test)
    if one.classes != other.classes:
        differing = ", ".join(sorted(set(one.classes) ^ set(other.classes))[:5])
        raise UsageError(
            f"dataset: {train} and {test} do not hold the same classes (first of those that differ: {differing})"
        )
    return ImageFiles(one.samples, other.samples, len(one.classes), size, resize, published)


class _Folder(NamedTuple):
    classes: list[str]
    samples: Samples


def _folder(path: Path) -> _Folder:
    try:
        folder = ImageFolder(str(path), is_valid_file=_is_image)
        return _Folder(folder.classes, Samples.of(folder.samples))
    except FileNotFoundError as error:
        raise UsageError(f"dataset: {path} is no folder of class folders with images ({error})") from error


def _is_image(path: str) -> bool:
    """By its name; beside each file of an archive, macOS may put another, ._NAME, with what else it knows of it."""
    return has_file_allowed_extension(path, IMG_EXTENSIONS) and not os.path.basename(path).startswith("._")
