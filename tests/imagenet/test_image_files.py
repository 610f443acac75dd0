"""Images in folders: what workers read, what is unreadable, and the sets' own forms."""

import multiprocessing
import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from acprop.runs import UsageError
from experiments.images import unpack
from experiments.images.data import IGNORED
from experiments.images.files import Samples, image_folder, imagenet, imagenette
from scripts.make_jpegs import make

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def jpegs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jpegs")
    make(folder, train=6, val=2)
    return folder


@pytest.fixture
def broken(jpegs, tmp_path):
    """A copy in which one training file is cut short, one is no image, and a test file is empty."""
    folder = tmp_path / "broken"
    shutil.copytree(jpegs, folder)
    cut = folder / "train" / "digit3" / "0001.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    (folder / "train" / "digit4" / "0002.jpg").write_text("not an image")
    (folder / "val" / "digit5" / "0006.jpg").write_bytes(b"")
    return folder


def epoch(data, *, workers=0, **options):
    return list(data.to(CPU, workers).train_batches(0, 1, 16, **options))


def test_batches_are_normalised_squares_of_every_image_once(jpegs):
    data = image_folder(str(jpegs), 32, 36)
    assert (data.train_size, data.test_size, data.num_classes, data.published) == (60, 20, 10, False)
    batches = epoch(data)
    assert [tuple(x.shape) for x, _ in batches] == [(16, 3, 32, 32)] * 3 + [(12, 3, 32, 32)]
    assert torch.cat([y for _, y in batches]).bincount().tolist() == [6] * 10
    tested = list(data.test_batches())
    assert torch.cat([y for _, y in tested]).tolist() == [i // 2 for i in range(20)]
    path, _ = data.test[3]
    with Image.open(path) as file:
        width, height = file.size
        short = 36 / min(width, height)
        resized = file.convert("RGB").resize((int(width * short), int(height * short)), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 32) / 2), round((resized.height - 32) / 2)
    expected = np.asarray(resized.crop((left, top, left + 32, top + 32)), float) / 255
    expected = (expected - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = tested[0][0][3].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).mean() < 0.05  # a pixel of rounding in where the crop lies


def test_workers_processes_and_a_later_start_change_nothing(jpegs):
    data = image_folder(str(jpegs), 32, 36)
    whole = epoch(data)
    for workers, options, part in ((2, {}, whole), (1, {"start": 2}, whole[2:])):
        for (x, y), (a, b) in zip(epoch(data, workers=workers, **options), part, strict=True):
            assert torch.equal(x, a)
            assert torch.equal(y, b)
    for rank in range(3):
        for (x, y), (a, b) in zip(epoch(data, rank=rank, world=3), whole, strict=True):
            assert torch.equal(x, a[rank::3])
            assert torch.equal(y, b[rank::3])
    other = list(data.train_batches(0, 2, 16))
    assert not torch.equal(other[0][0], whole[0][0])


def test_reading_leaves_the_runs_random_numbers_alone(jpegs):
    state = torch.get_rng_state()
    epoch(image_folder(str(jpegs), 32, 36))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_unreadable_is_told_once_counted_and_left_out(workers, broken, capsys):
    data = image_folder(str(broken), 32, 36)
    for _ in range(2):
        labels = torch.cat([y for _, y in epoch(data, workers=workers)])
        assert (labels == IGNORED).sum() == 2
        tested = torch.cat([y for _, y in data.test_batches()])
        assert (tested == IGNORED).sum() == 1
    assert {path.removeprefix(str(broken)) for path in data.unreadable} == {
        "/train/digit3/0001.jpg", "/train/digit4/0002.jpg", "/val/digit5/0006.jpg",
    }  # fmt: skip
    told = capsys.readouterr().err
    assert told.count("is no readable image") == 3


def test_a_folder_of_classes_alone_gives_a_tenth_to_the_test_set(jpegs):
    data = image_folder(str(jpegs / "train"), 32, 36)
    assert (data.train_size, data.test_size) == (54, 6)
    assert not set(data.train) & set(data.test)
    part = data.first(20).hold_out(0.25)
    assert (part.train_size, part.test_size) == (15, 5)


def test_what_macos_puts_beside_an_image_is_none(jpegs, tmp_path):
    shutil.copytree(jpegs, tmp_path / "copied")
    for path in (tmp_path / "copied").rglob("*.jpg"):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    data = image_folder(str(tmp_path / "copied"), 32, 36)
    assert (data.train_size, data.test_size) == (60, 20)


def test_a_wrong_folder_is_one_line(jpegs, tmp_path):
    for path, words in ((tmp_path / "none", "no such folder"), (tmp_path, "no folder of class folders")):
        with pytest.raises(UsageError, match=words):
            image_folder(str(path), 32, 36)
    shutil.copytree(jpegs, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "val" / "digit7")
    with pytest.raises(UsageError, match="first of those that differ: digit7"):
        image_folder(str(tmp_path / "other"), 32, 36)


CLASSES = [f"n0000000{i}" for i in range(3)]


@pytest.fixture
def archives(jpegs, tmp_path, monkeypatch):
    """$ACPROP_DATA/imagenet with its archives in miniature: a tar of tars, one flat tar with a list of labels, and
    MATLAB's table of classes; macOS has left its marks on them."""
    from scipy.io import savemat
    from torchvision.datasets import imagenet as torchvisions

    monkeypatch.setenv("ACPROP_DATA", str(tmp_path))
    meta = {key: (name, None) for key, (name, _) in torchvisions.ARCHIVE_META.items()}
    monkeypatch.setattr(torchvisions, "ARCHIVE_META", meta)
    root, kit = tmp_path / "imagenet", tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    root.mkdir()
    fields = np.zeros(3, dtype=[(n, object) for n in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")])
    for i, wnid in enumerate(CLASSES):
        fields[i] = (3 - i, wnid, f"thing {i}", "", 0)  # ids run the other way round
    savemat(kit / "meta.mat", {"synsets": fields})
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n3\n3\n")
    mark = tmp_path / "mark"
    mark.write_bytes(b"\0\5\26\7")
    with tarfile.open(root / unpack.DEVKIT, "w:gz") as tar:
        tar.add(kit.parent, "ILSVRC2012_devkit_t12")
    with tarfile.open(root / unpack.TRAIN, "w") as tar:
        for i, wnid in enumerate(CLASSES):
            with tarfile.open(tmp_path / f"{wnid}.tar", "w") as inner:
                inner.add(mark, f"._{wnid}_0.JPEG")
                for n in range(2):
                    inner.add(jpegs / "train" / f"digit{i}" / f"000{n}.jpg", f"{wnid}_{n}.JPEG")
            tar.add(mark, f"._{wnid}.tar")
            tar.add(tmp_path / f"{wnid}.tar", f"{wnid}.tar")
    with tarfile.open(root / unpack.VAL, "w") as tar:
        for n in range(4):
            tar.add(mark, f"._ILSVRC2012_val_0000000{n + 1}.JPEG")
            tar.add(jpegs / "val" / f"digit{n}" / "0006.jpg", f"ILSVRC2012_val_0000000{n + 1}.JPEG")
    return root


def by_hand(root, part, name):
    """What `tar -xf NAME` does in a folder of that part."""
    (root / part).mkdir(exist_ok=True)
    subprocess.run(["tar", "-xf", root / name, "-C", root / part], check=True)


def train_by_hand(root):
    by_hand(root, "train", unpack.TRAIN)
    for path in (root / "train").glob("n*.tar"):
        by_hand(root, f"train/{path.stem}", f"train/{path.name}")
        path.unlink()


def interrupted(root):
    """As another tool leaves it: a class in half, its tar still there, one to come, one lost; val half without folders,
    its last image cut short."""
    by_hand(root, "train", unpack.TRAIN)
    by_hand(root, f"train/{CLASSES[0]}", f"train/{CLASSES[0]}.tar")
    (root / "train" / CLASSES[0] / f"{CLASSES[0]}_1.JPEG").unlink()
    (root / "train" / f"{CLASSES[2]}.tar").unlink()
    by_hand(root, "val", unpack.VAL)
    (root / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    cut = root / "val" / "ILSVRC2012_val_00000004.JPEG"
    cut.write_bytes(cut.read_bytes()[:100])


STATES = {
    "the archives": lambda root: None,
    "train unpacked by hand, its archive gone": lambda root: (train_by_hand(root), (root / unpack.TRAIN).unlink()),
    "train unpacked by hand, its archive there": train_by_hand,
    "the tars of the classes": lambda root: (by_hand(root, "train", unpack.TRAIN), (root / unpack.TRAIN).unlink()),
    "val without folders, no archive": lambda root: (by_hand(root, "val", unpack.VAL), (root / unpack.VAL).unlink()),
    "val without folders, its archive there": lambda root: by_hand(root, "val", unpack.VAL),
    "interrupted": interrupted,
}


@pytest.mark.parametrize("state", STATES)
def test_imagenet_unpacks_from_wherever_it_stands_and_a_second_time(state, archives):
    STATES[state](archives)
    for attempt in ("unpacked", "as it is", "unpacked again", "the archives gone"):
        if attempt == "unpacked again":
            (archives / ".unpacked").unlink()
        if attempt == "the archives gone":
            for path in archives.glob("ILSVRC*"):
                path.unlink()
        data = imagenet(32, 36)
        assert (data.train_size, data.test_size, data.num_classes) == (6, 4, 3), attempt
        assert [label for _, label in sorted(data.test)] == [0, 0, 1, 2], attempt
        assert {Path(path).name for path, _ in data.train} == {f"{w}_{n}.JPEG" for w in CLASSES for n in (0, 1)}
        assert not data.published, "published is the whole of it"
        assert len(list(data.to(CPU, 0).train_batches(0, 0, 4))) == 2
        assert not data.unreadable


def test_an_unpack_that_is_stopped_goes_on(archives, monkeypatch):
    really, left = unpack._unpack_class, [1, 1]

    def stops(file, folder):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        really(file, folder)

    monkeypatch.setattr(unpack, "_unpack_class", stops)
    with pytest.raises(KeyboardInterrupt):
        imagenet(32, 36)
    kept = (archives / "train" / CLASSES[0]).stat().st_ino
    left += [1]
    assert imagenet(32, 36).train_size == 6
    assert (archives / "train" / CLASSES[0]).stat().st_ino == kept, "what was whole stays"


def test_what_imagenet_lacks_is_one_line(archives, monkeypatch, tmp_path):
    from torchvision.datasets import imagenet as torchvisions

    by_hand(archives, "val", unpack.VAL)
    (archives / unpack.DEVKIT).rename(tmp_path / "devkit")
    with pytest.raises(UsageError, match=r"val is not in class folders yet, and ILSVRC2012_devkit_t12\.tar\.gz"):
        imagenet(32, 36)
    (tmp_path / "devkit").rename(archives / unpack.DEVKIT)
    shutil.rmtree(archives / "train")
    (archives / unpack.TRAIN).rename(tmp_path / "train.tar")
    with pytest.raises(UsageError, match=r"train/ and ILSVRC2012_img_train\.tar are not in .*; place"):
        imagenet(32, 36)
    (tmp_path / "train.tar").rename(archives / unpack.TRAIN)
    meta = {**torchvisions.ARCHIVE_META, "train": (unpack.TRAIN, "0" * 32)}
    monkeypatch.setattr(torchvisions, "ARCHIVE_META", meta)
    (archives / ".unpacked").unlink(missing_ok=True)
    with pytest.raises(UsageError, match=r"the checksum of .*ILSVRC2012_img_train\.tar is wrong; fetch it again"):
        imagenet(32, 36)


def private_mib(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def test_a_worker_keeps_what_it_shares_however_many_images_it_has_read(jpegs):
    """A list of tuples costs a worker the page of every one it looks at: 18 MiB here."""
    paths = np.array([os.fsencode(next((jpegs / "train").glob("*/*.jpg")))] * 200_000)
    samples = Samples(paths, np.zeros(len(paths), dtype=np.int64))
    data = replace(image_folder(str(jpegs), 8, 8), train=samples).to(CPU, 1)
    before = {child.pid for child in multiprocessing.active_children()}
    batches = data.train_batches(0, 0, 64)
    for _ in range(10):
        next(batches)
    (worker,) = (child for child in multiprocessing.active_children() if child.pid not in before)
    start = private_mib(worker.pid)
    for _ in range(50):
        next(batches)
    assert private_mib(worker.pid) - start < 9


def test_imagenette_in_its_own_form(jpegs, tmp_path, monkeypatch):
    monkeypatch.setenv("ACPROP_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="dataset=imagenette: not in"):
        imagenette(32, 36)
    shutil.copytree(jpegs, tmp_path / "imagenette2-320")
    assert imagenette(32, 36).train_size == 60
