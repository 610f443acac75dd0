"""A data set that is corrupt or half downloaded: one line that names its place and the remedy, and no record."""

import gzip
import importlib
import pickle
import struct

import numpy as np
import pytest

from acprop.runs import UsageError, data_root, runs_root
from tests.cifar.test_runner import write_cifar10
from tests.transformer.conftest import write_archive


def cifar10(damage):
    folder = data_root() / "cifar-10-batches-py"
    write_cifar10(folder)
    damage(folder / "data_batch_3")


def without(key):
    def damage(path):
        path.write_bytes(pickle.dumps({k: v for k, v in pickle.loads(path.read_bytes()).items() if k != key}))

    return damage


def with_value(key, value):
    def damage(path):
        path.write_bytes(pickle.dumps({**pickle.loads(path.read_bytes()), key: value}))

    return damage


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def put(content):
    return lambda path: path.write_bytes(content)


def fashion_mnist(damage):
    folder = data_root() / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            content = struct.pack(f">{1 + len(shape)}i", 0x800 + len(shape), *shape) + bytes(int(np.prod(shape)))
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    damage(folder / "train-images-idx3-ubyte.gz")


def iwslt(damage):
    write_archive(data_root() / "iwslt14_de_en")
    damage(data_root() / "iwslt14_de_en" / "de-en.tgz")


def prepared(damage):
    folder = data_root() / "iwslt14_de_en"
    folder.mkdir(parents=True)
    for split, count in (("train", 60), ("valid", 5), ("test", 5)):
        for language in ("de", "en"):
            (folder / f"{split}.{language}").write_text("eins zwei drei\n" * count)
    damage(folder / "train.de")


CASES = {
    "cifar10 half a file": ("cifar", "dataset=cifar10", cifar10, half),
    "cifar10 garbage": ("cifar", "dataset=cifar10", cifar10, put(b"<html>404</html>")),
    "cifar10 empty": ("cifar", "dataset=cifar10", cifar10, put(b"")),
    "cifar10 a list": ("cifar", "dataset=cifar10", cifar10, put(pickle.dumps([1]))),
    "cifar10 no labels": ("cifar", "dataset=cifar10", cifar10, without("labels")),
    "cifar10 other images": ("cifar", "dataset=cifar10", cifar10, with_value("data", np.zeros((20, 100), np.uint8))),
    "cifar10 no array": ("cifar", "dataset=cifar10", cifar10, with_value("data", "abc")),
    "cifar10 too few labels": ("cifar", "dataset=cifar10", cifar10, with_value("labels", [1])),
    "cifar10 a label too large": ("cifar", "dataset=cifar10", cifar10, with_value("labels", [10] * 20)),
    "cifar10 labels of words": ("cifar", "dataset=cifar10", cifar10, with_value("labels", ["a"] * 20)),
    "cifar10 gone": ("cifar", "dataset=cifar10", cifar10, lambda path: path.unlink()),
    "fashion_mnist half a file": ("cifar", "dataset=fashion_mnist tuned=none", fashion_mnist, half),
    "fashion_mnist garbage": ("cifar", "dataset=fashion_mnist tuned=none", fashion_mnist, put(b"<html>404</html>")),
    "fashion_mnist empty": ("cifar", "dataset=fashion_mnist tuned=none", fashion_mnist, put(b"")),
    "fashion_mnist packed garbage": (
        "cifar",
        "dataset=fashion_mnist tuned=none",
        fashion_mnist,
        put(gzip.compress(b"garbage")),
    ),
    "fashion_mnist too few images": (
        "cifar",
        "dataset=fashion_mnist tuned=none",
        fashion_mnist,
        put(gzip.compress(struct.pack(">4i", 0x803, 9, 28, 28) + bytes(9 * 784))),
    ),
    "iwslt half an archive": ("transformer", "dataset=iwslt14_de_en", iwslt, half),
    "iwslt garbage": ("transformer", "dataset=iwslt14_de_en", iwslt, put(b"<html>404</html>")),
    "iwslt empty": ("transformer", "dataset=iwslt14_de_en", iwslt, put(b"")),
    "prepared text of another coding": (
        "transformer",
        "dataset=iwslt14_de_en",
        prepared,
        put("für\n".encode("latin1") * 60),
    ),
    "prepared text cut short": ("transformer", "dataset=iwslt14_de_en", prepared, half),
    "prepared text empty": ("transformer", "dataset=iwslt14_de_en", prepared, put(b"")),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_line(case, configure):
    task, overrides, make, damage = CASES[case]
    make(damage)
    with pytest.raises(UsageError) as caught:
        importlib.import_module(f"experiments.{task}.__main__").run(
            configure(task, *overrides.split(), "scale=smoke", "tracking=none")
        )
    said = str(caught.value)
    assert "\n" not in said
    assert str(data_root()) in said
    assert not list(runs_root().rglob("run.json"))
