"""Image sets: what every one offers, and the small ones, whole in memory as uint8, augmented per batch by tensor
operations. files.py has those that are read from files as they are needed.

Every small set arrives as 32x32 with its own normalisation. Order and augmentation are functions of (seed, epoch,
batch) alone, drawn on the CPU, so they are the same on every device and a resumed run sees exactly the batches it
missed. A GPU gets what is drawn by `send`, and nothing waits for it.
"""

import gzip
import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from acprop.runs import data_root, require, whole_data
from acprop.runs.download import download, md5_of

PADDING = 4
EVAL_BATCH = 500
IGNORED = -100  # a label that torch's losses leave out
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def generator(*key: int) -> torch.Generator:
    """A CPU generator that depends on all numbers of `key`."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _fixed_order(count: int) -> Tensor:
    return torch.randperm(count, generator=generator(count))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU's on the device. To a GPU it goes from pinned memory, which torch keeps until it is there, so
    that the host goes on at once."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def share_of(index: Tensor, rank: int, world: int) -> tuple[Tensor, bool]:
    """(this rank's entries of a global batch, whether they count). No rank gets none, since all take part in every
    step: where a batch has fewer entries than ranks, some get one that does not count."""
    own = index[rank::world]
    return (own, True) if len(own) else (index[:1], False)


class Images(ABC):
    """A train and a test set of labelled images.

    Batches are images float (n, channels, height, width) and labels int64 (n,). A label `IGNORED` says that an image is
    there for its shape alone and does not count. With `world` processes each gets its share of every global batch.

    Attributes:
        channels, num_classes: of the images.
        published: whether the files are the published ones.
        train_size, test_size: images.
        unreadable: paths of files that turned out to be no images, so far.
    """

    num_classes: int
    published: bool
    unreadable: set[str] = set()  # noqa: RUF012 - of a set in memory: none

    @property
    @abstractmethod
    def channels(self) -> int: ...

    @property
    @abstractmethod
    def train_size(self) -> int: ...

    @property
    @abstractmethod
    def test_size(self) -> int: ...

    @abstractmethod
    def first(self, size: int) -> "Images":
        """With `size` of the training images, the same ones always."""

    @abstractmethod
    def hold_out(self, share: float) -> "Images":
        """With this share of the training images, the same ones always, in the test set's place: to choose settings by,
        so that the test set stays unseen."""

    @abstractmethod
    def to(self, device: torch.device, workers: int | None = None) -> "Images":
        """Batches will lie on this device; `workers` processes read files, where there are any to read."""

    @abstractmethod
    def train_batches(
        self, seed: int, epoch: int, batch_size: int, start: int = 0,
        memory_format: torch.memory_format = torch.contiguous_format, rank: int = 0, world: int = 1,
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        """Shuffled, augmented batches of one epoch, from batch number `start`; the last may be smaller. `batch_size` is
        that of all processes together."""

    @abstractmethod
    def test_batches(
        self, memory_format: torch.memory_format = torch.contiguous_format, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Each test image once, on one of the processes."""


def subset(count: int, size: int) -> Tensor:
    """`size` of `count` training images, by position."""
    require(0 < size <= count, "train_size", size, f"at most {count}, the number of training images")
    return _fixed_order(count)[:size]


def parts(count: int, share: float) -> tuple[Tensor, Tensor]:
    """(kept, held out) of `count` training images, by position."""
    size = round(share * count)
    require(0 < size < count, "held_out", share, "a share of the training images between 0 and 1, or 0 for none")
    order = _fixed_order(count)
    return order[size:], order[:size]


@dataclass
class ImageData(Images):
    """A set in memory.

    Attributes:
        train_images, test_images: uint8 (N, C, 32, 32).
        train_labels, test_labels: int64 (N,).
        mean, std: of each channel, for pixels in [0, 1].
        flip: whether a mirrored image still shows its class.
        published: whether the files are the published ones, by checksum.
        crop: whether training images are padded and cropped.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int
    flip: bool
    published: bool = True
    crop: bool = True

    device = torch.device("cpu")  # where batches lie: `to`

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("training", self.train_images, self.train_labels), ("test", self.test_images, self.test_labels),
        ):  # fmt: skip
            if images.dtype != torch.uint8 or images.shape != (len(images), len(self.mean), 32, 32):
                raise ValueError(f"{part} images {images.dtype} {tuple(images.shape)}, not uint8 (N, C, 32, 32)")
            if labels.dtype != torch.int64 or labels.shape != images.shape[:1] or not len(labels):
                raise ValueError(f"{len(images)} {part} images, but labels {labels.dtype} {tuple(labels.shape)}")
            first, last = int(labels.min()), int(labels.max())
            if first < 0 or last >= self.num_classes:
                raise ValueError(f"{part} labels from {first} to {last}, not 0 to {self.num_classes - 1}")

    @property
    def channels(self) -> int:
        return self.train_images.shape[1]

    @property
    def train_size(self) -> int:
        return len(self.train_labels)

    @property
    def test_size(self) -> int:
        return len(self.test_labels)

    def first(self, size: int) -> "ImageData":
        return self._with_training(subset(self.train_size, size))

    def hold_out(self, share: float) -> "ImageData":
        kept, held_out = (self._with_training(index) for index in parts(self.train_size, share))
        return replace(kept, test_images=held_out.train_images, test_labels=held_out.train_labels)

    def _with_training(self, index: Tensor) -> "ImageData":
        return replace(self, train_images=self.train_images[index], train_labels=self.train_labels[index])

    def to(self, device: torch.device, workers: int | None = None) -> "ImageData":
        self.device = device
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            setattr(self, name, getattr(self, name).to(device))
        scale = torch.tensor(self.std, device=device).mul(255).reciprocal().view(1, -1, 1, 1)
        shift = torch.tensor(self.mean, device=device).div(torch.tensor(self.std, device=device)).view(1, -1, 1, 1)
        self._scale, self._shift = scale, shift
        return self

    def normalize(self, images: Tensor) -> Tensor:
        return images.float().mul_(self._scale).sub_(self._shift)

    def train_batches(
        self, seed: int, epoch: int, batch_size: int, start: int = 0,
        memory_format: torch.memory_format = torch.contiguous_format, rank: int = 0, world: int = 1,
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        order = torch.randperm(len(self.train_labels), generator=generator(seed, epoch))
        order = send(order, self.device)
        for number, index in enumerate(order.split(batch_size)):
            if number >= start:
                # drawn for the whole batch: what an image goes through does not depend on the number of processes
                images = self.augment(self.train_images[index], generator(seed, epoch, number))
                labels = self.train_labels[index]
                if world > 1:
                    own, counts = share_of(torch.arange(len(index), device=self.device), rank, world)
                    images, labels = images[own], labels[own] if counts else torch.full_like(own, IGNORED)
                yield self.normalize(images).contiguous(memory_format=memory_format), labels

    def endless_batches(
        self, seed: int, batch_size: int, start: int = 0, memory_format: torch.memory_format = torch.contiguous_format
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of `batch_size`, epoch after epoch, from batch number `start`; what an epoch has over is dropped."""
        size = len(self.train_labels)
        require(batch_size <= size, "batch_size", batch_size, f"at most {size}, the number of training images")
        per_epoch = size // batch_size
        for epoch in itertools.count(start // per_epoch):
            first, start = start % per_epoch, 0
            batches = self.train_batches(seed, epoch, batch_size, first, memory_format)
            yield from itertools.islice(batches, per_epoch - first)

    def augment(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Pads by 4 zero pixels and crops 32x32 at random where `crop` says so, mirrors half of the images where `flip`
        allows."""
        count, _, size, _ = images.shape
        if not self.crop:
            return self._mirror_half(images, random) if self.flip else images
        offsets = send(torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=random), self.device)
        positions = torch.arange(size, device=self.device)
        rows, columns = offsets + positions  # (count, size) each
        if self.flip:
            mirrored = send(torch.randint(0, 2, (count, 1), generator=random).bool(), self.device)
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = F.pad(images, [PADDING] * 4)
        which = torch.arange(count, device=self.device).view(-1, 1, 1)
        # advanced indices around a slice put the channels last: (count, size, size, channels)
        return padded[which, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)

    def _mirror_half(self, images: Tensor, random: torch.Generator) -> Tensor:
        mirrored = send(torch.randint(0, 2, (len(images), 1, 1, 1), generator=random).bool(), self.device)
        return torch.where(mirrored, images.flip(3), images)

    def test_batches(
        self, memory_format: torch.memory_format = torch.contiguous_format, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.test_images[rank::world], self.test_labels[rank::world]
        for x, y in zip(images.split(EVAL_BATCH), labels.split(EVAL_BATCH), strict=True):
            yield self.normalize(x).contiguous(memory_format=memory_format), y


# -- the sets ----------------------------------------------------------------------------------------------------


def digits() -> ImageData:
    """scikit-learn's 1,797 handwritten digits (Alpaydin and Kaynak, UCI, CC BY 4.0), enlarged to 32x32; 1,437 train,
    360 test, the same split always."""
    images, labels = digits_8x8()
    pixels = torch.from_numpy(images).unsqueeze(1).float() * (255 / 16)
    pixels = F.interpolate(pixels, size=(32, 32), mode="bilinear", align_corners=False).round().to(torch.uint8)
    targets = torch.from_numpy(labels).long()
    return ImageData(
        pixels[:1437], targets[:1437], pixels[1437:], targets[1437:],
        mean=(0.3054,), std=(0.3237,), num_classes=10, flip=False,
    )  # fmt: skip


def digits_8x8() -> tuple[np.ndarray, np.ndarray]:
    """(images, labels) as arrays, pixels from 0 to 16, the test set last; scikit-learn, which has them too, takes a
    second to import."""
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        return file["images"], file["labels"]


def cifar10() -> ImageData:
    """CIFAR-10 (Krizhevsky 2009), normalised as the authors do."""
    return _cifar("CIFAR10", "cifar10", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), 10)


def cifar100() -> ImageData:
    """CIFAR-100 (Krizhevsky 2009)."""
    return _cifar("CIFAR100", "cifar100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), 100)


def fashion_mnist() -> ImageData:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), 28x28 padded to 32x32; from `$ACPROP_DATA`, or from Debian's
    package dataset-fashion-mnist if that is installed. Mirrored and not cropped: its pictures are centred, and narrow
    nets underfit it otherwise."""
    from torchvision import datasets

    cls = datasets.FashionMNIST
    root = data_root()
    raw = root / "FashionMNIST" / "raw"
    names = [name for name, _ in cls.resources]
    here = [(raw / name).exists() or (raw / name).with_suffix("").exists() for name in names]
    if not all(here) and all((DEBIAN_FASHION_MNIST / name).exists() for name in names):
        raw = DEBIAN_FASHION_MNIST
    elif not all(here):
        for name, checksum in cls.resources:
            download("fashion_mnist", [mirror + name for mirror in cls.mirrors], raw / name, checksum)
    with whole_data("fashion_mnist", raw, "digits"):
        train_images, train_labels, test_images, test_labels = (_read_idx(raw / name) for name in names)
        published = all(not (raw / n).exists() or md5_of(raw / n) == checksum for n, checksum in cls.resources)
        return ImageData(
            F.pad(train_images.unsqueeze(1), [2] * 4), train_labels.long(),
            F.pad(test_images.unsqueeze(1), [2] * 4), test_labels.long(),
            mean=(0.2190,), std=(0.3318,), num_classes=10, flip=True, crop=False,
            published=published or raw == DEBIAN_FASHION_MNIST,
        )  # fmt: skip


def _cifar(class_name: str, name: str, mean: tuple[float, ...], std: tuple[float, ...], num_classes: int) -> ImageData:
    from torchvision import datasets
    from torchvision.datasets.utils import extract_archive

    cls: Any = getattr(datasets, class_name)
    root = data_root()
    if not (root / cls.base_folder).is_dir():
        archive = root / cls.filename
        download(name, [cls.url], archive, cls.tgz_md5)
        extract_archive(str(archive), str(root))

    # A folder that is there is used, whoever made it; whether it is the published one goes into the record.
    unchecked: Any = type(
        class_name,
        (cls,),
        {
            "train_list": [[file, None] for file, _ in cls.train_list],
            "test_list": [[file, None] for file, _ in cls.test_list],
            "meta": {**cls.meta, "md5": None},
        },
    )

    def tensors(part: Any) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)

    with whole_data(name, root / cls.base_folder, "digits"):
        published = all(
            md5_of(root / cls.base_folder / file) == checksum for file, checksum in cls.train_list + cls.test_list
        )
        sides = [tensors(unchecked(root, train=train)) for train in (True, False)]
        return ImageData(*sides[0], *sides[1], mean, std, num_classes, flip=True, published=published)


def _read_idx(path: Path) -> Tensor:
    """An idx file, packed or not, as MNIST and its successors use."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    if path.exists():
        unpacked = path.with_suffix("")
        if not unpacked.exists():
            import tempfile

            with tempfile.NamedTemporaryFile() as file:
                file.write(gzip.decompress(path.read_bytes()))
                file.flush()
                return read_sn3_pascalvincent_tensor(file.name)
        return read_sn3_pascalvincent_tensor(str(unpacked))
    return read_sn3_pascalvincent_tensor(str(path.with_suffix("")))
