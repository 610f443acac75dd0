"""Data: what arrives, and that it depends on (seed, epoch, batch) alone."""

import functools
import gzip
import hashlib
import itertools

import numpy as np
import pytest
import torch

from experiments.images import data
from experiments.images.data import ImageData


@functools.cache
def digits():
    return data.digits().to(torch.device("cpu"))


def test_digits_are_normalised_and_split_by_class():
    d = digits()
    assert d.train_images.shape == (1437, 1, 32, 32)
    assert d.train_images.dtype == torch.uint8
    assert len(d.test_labels) == 360
    assert torch.bincount(d.test_labels).tolist() == pytest.approx([36] * 10, abs=1)
    x = d.normalize(d.train_images)
    assert x.mean().item() == pytest.approx(0, abs=1e-2)
    assert x.std().item() == pytest.approx(1, abs=1e-2)


def test_digits_are_scikit_learns_in_a_stratified_split_of_its():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(range(len(labels)), test_size=360, random_state=0, stratify=labels)
    order = [index for part in parts for index in part]
    ours = data.digits_8x8()
    assert (ours[0].reshape(-1, 64) == images[order]).all()
    assert (ours[1] == labels[order]).all()


def test_an_epoch_is_every_image_once_and_starts_anywhere():
    d = digits()
    whole = list(d.train_batches(seed=3, epoch=1, batch_size=100))
    assert sum(len(y) for _, y in whole) == 1437
    assert torch.equal(torch.cat([y for _, y in whole]).bincount(), d.train_labels.bincount())
    torch.rand(5)  # the global generator has no say
    rest = list(d.train_batches(seed=3, epoch=1, batch_size=100, start=13))
    assert len(rest) == 2
    assert all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(whole[13:], rest, strict=True))
    for seed, epoch in ((4, 1), (3, 2)):
        x, _ = next(d.train_batches(seed=seed, epoch=epoch, batch_size=100))
        assert not torch.equal(x, whole[0][0])


@pytest.mark.parametrize("flip", [True, False])
def test_augmentation_is_a_padded_crop_and_a_mirror(flip):
    images = torch.randint(1, 256, (200, 3, 32, 32), dtype=torch.uint8)
    labels = torch.zeros(200, dtype=torch.int64)
    d = ImageData(images, labels, images, labels, (0.5,) * 3, (0.2,) * 3, 10, flip)
    out = d.augment(images, data.generator(0))
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
    seen = set()
    for image, source in zip(out.numpy(), padded, strict=True):
        found = [
            (row, column, mirror)
            for row in range(9)
            for column in range(9)
            for mirror in (False, True)
            if np.array_equal(image, source[:, row : row + 32, column : column + 32][:, :, :: -1 if mirror else 1])
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert {row for row, _, _ in seen} == set(range(9))
    assert {column for _, column, _ in seen} == set(range(9))
    assert {mirror for _, _, mirror in seen} == ({False, True} if flip else {False})


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


def test_fashion_mnist_from_its_own_format(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DEBIAN_FASHION_MNIST", tmp_path / "none")
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (6, 28, 28)), random.integers(0, 10, 6)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))  # packed or not
    d = data.fashion_mnist()
    assert d.train_images.shape == (6, 1, 32, 32)
    assert np.array_equal(d.test_images[:, 0, 2:30, 2:30].numpy(), images)
    assert d.train_labels.tolist() == labels.tolist()
    assert not d.published


def made(flip, crop):
    random = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.arange(50)
    d = ImageData(images, labels, images[:7], labels[:7], (0.5, 0.4, 0.3), (0.25, 0.2, 0.3), 50, flip=flip, crop=crop)
    return d.to(torch.device("cpu"))


@pytest.mark.parametrize(
    ("flip", "crop", "take", "digest"),
    [
        (True, True, lambda d: d.train_batches(3, 2, 16), "4520e8e9e616640f"),
        (True, True, lambda d: d.train_batches(3, 2, 16, start=2), "4493d3c9c679ac71"),
        (True, True, lambda d: d.train_batches(3, 2, 16, rank=1, world=3), "d11818788651e69f"),
        (True, True, lambda d: d.train_batches(3, 2, 49, rank=2, world=3), "3341639c3d75e2ef"),
        (False, True, lambda d: d.train_batches(3, 2, 16), "a8f36b161d2c684f"),
        (True, False, lambda d: d.train_batches(3, 2, 16), "8cc95a0eb5a13b25"),
        (False, False, lambda d: d.train_batches(3, 2, 16), "dbdca4ecfcc7a9a7"),
        (True, False, lambda d: itertools.islice(d.endless_batches(3, 16, start=2), 7), "c23840cc968ef1c5"),
        (True, True, lambda d: d.test_batches(), "1bb99af68b01c4c0"),
    ],
)
def test_batches_are_those_that_every_record_so_far_was_trained_on(flip, crop, take, digest):
    seen = hashlib.sha256()
    for x, y in take(made(flip, crop)):
        seen.update(x.contiguous().numpy().tobytes() + y.numpy().tobytes())
    assert seen.hexdigest()[:16] == digest
