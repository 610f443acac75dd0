"""Images in folders: what workers read, what is unreadable, and the sets' own forms."""

import shutil
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from acprop.runs import UsageError
from experiments.images.data import IGNORED
from experiments.images.files import image_folder, imagenet, imagenette
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


def test_a_wrong_folder_is_one_line(jpegs, tmp_path):
    for path, words in ((tmp_path / "none", "no such folder"), (tmp_path, "no folder of class folders")):
        with pytest.raises(UsageError, match=words):
            image_folder(str(path), 32, 36)
    shutil.copytree(jpegs, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "val" / "digit7")
    with pytest.raises(UsageError, match="first of those that differ: digit7"):
        image_folder(str(tmp_path / "other"), 32, 36)


def test_imagenet_from_folders_or_from_its_original_archives(jpegs, tmp_path, monkeypatch):
    """The archives in miniature: a tar of tars, one flat tar with a list of labels, and MATLAB's table of classes."""
    from scipy.io import savemat
    from torchvision.datasets import imagenet as torchvisions

    monkeypatch.setenv("ACPROP_DATA", str(tmp_path))
    root = tmp_path / "imagenet"
    with pytest.raises(UsageError, match=r"dataset=imagenet: neither train/ and val/ nor .*; place them there"):
        imagenet(32, 36)
    kit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    root.mkdir()
    classes = [f"n0000000{i}" for i in range(3)]
    fields = np.zeros(3, dtype=[(n, object) for n in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")])
    for i, wnid in enumerate(classes):
        fields[i] = (3 - i, wnid, f"thing {i}", "", 0)  # ids run the other way round
    savemat(kit / "meta.mat", {"synsets": fields})
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n3\n3\n")
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        tar.add(kit.parent, "ILSVRC2012_devkit_t12")
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as tar:
        for i, wnid in enumerate(classes):
            with tarfile.open(tmp_path / f"{wnid}.tar", "w") as inner:
                for n in range(2):
                    inner.add(jpegs / "train" / f"digit{i}" / f"000{n}.jpg", f"{wnid}_{n}.JPEG")
            tar.add(tmp_path / f"{wnid}.tar", f"{wnid}.tar")
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as tar:
        for n in range(4):
            tar.add(jpegs / "val" / f"digit{n}" / "0006.jpg", f"ILSVRC2012_val_0000000{n + 1}.JPEG")
    meta = {key: (name, None) for key, (name, _) in torchvisions.ARCHIVE_META.items()}
    monkeypatch.setattr(torchvisions, "ARCHIVE_META", meta)
    for attempt in ("from the archives", "from the folders"):
        data = imagenet(32, 36)
        assert (data.train_size, data.test_size, data.num_classes) == (6, 4, 3), attempt
        assert [label for _, label in sorted(data.test)] == [0, 0, 1, 2] or len({y for _, y in data.test}) == 3
        assert not data.published, "published is the whole of it"
        assert len(list(data.to(CPU, 0).train_batches(0, 0, 4))) == 2


def test_imagenette_in_its_own_form(jpegs, tmp_path, monkeypatch):
    monkeypatch.setenv("ACPROP_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="dataset=imagenette: not in"):
        imagenette(32, 36)
    shutil.copytree(jpegs, tmp_path / "imagenette2-320")
    assert imagenette(32, 36).train_size == 60
