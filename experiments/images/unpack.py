"""ImageNet's original tar files made into class folders, whatever was unpacked before, by whom, and how far.

A class folder gets its name when its last file is in it, so what was interrupted is done again and nothing else. A
class folder that is there without its tar beside it is taken for whole: it is this module's, or the user's own.
"""

import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from acprop.runs import UsageError, write_atomically
from acprop.runs.download import md5_of

TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"


def unpack(root: Path) -> None:
    """Makes `root`/train/CLASS/ and `root`/val/CLASS/ of what is there: the archives; the tars of the classes that lie
    in the first; val's images without folders. What is there already stays.

    Raises:
        UsageError: an archive is broken, or the classes of val's images are nowhere told.
    """
    done, archives = root / ".unpacked", [root / name for name in (TRAIN, VAL) if (root / name).is_file()]
    if done.exists():
        return
    try:
        _unpack_train(root / "train", root / TRAIN)
        _unpack_val(root / "val", root / VAL)
    except (tarfile.TarError, RuntimeError, OSError, EOFError) as error:
        raise UsageError(f"dataset=imagenet: {root} could not be unpacked ({error}); fetch the file again") from error
    if archives:
        with suppress(OSError):  # a folder that cannot be written to is looked at again each time
            done.touch()


def _unpack_train(folder: Path, archive: Path) -> None:
    def is_whole(name: str) -> bool:
        return (folder / name).is_dir() and not (folder / f"{name}.tar").exists()

    if archive.is_file():
        missing = [member for member in _files(archive) if not is_whole(Path(member.name).stem)]
        _check(archive, bool(missing))
        with tarfile.open(archive) as tar:
            for member in missing:
                name, file = Path(member.name).stem, tar.extractfile(member)
                assert file
                _unpack_class(file, folder / name)
                (folder / f"{name}.tar").unlink(missing_ok=True)
    for path in sorted(folder.glob("n*.tar")):  # of an archive that is gone
        with path.open("rb") as file:
            _unpack_class(file, path.with_suffix(""))
        path.unlink()


def _unpack_class(file: IO[bytes], folder: Path) -> None:
    part = folder.parents[1] / ".unpacking"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with tarfile.open(fileobj=file) as tar:
        # pictures, side by side; `extractall` is safe from Python 3.11.4 on, and Debian 12 has 3.11.2
        for member in tar:
            if picture := tar.extractfile(member):
                with (part / Path(member.name).name).open("wb") as copy:
                    shutil.copyfileobj(picture, copy)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    part.rename(folder)


def _unpack_val(folder: Path, archive: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in folder.glob("ILSVRC2012_val_*.JPEG")}  # still without a folder
    missing = []
    if archive.is_file():
        placed = {path.name for path in folder.glob("*/*.JPEG")}
        missing = [m for m in _files(archive) if Path(m.name).name not in placed and sizes.get(m.name) != m.size]
        _check(archive, bool(missing))
    if not sizes and not missing:
        return
    classes = _classes_of_val(folder.parent)

    def place(name: str) -> Path:
        return folder / classes[int(Path(name).stem[-8:]) - 1] / Path(name).name

    if missing:
        with tarfile.open(archive) as tar:
            for member in missing:
                file = tar.extractfile(member)
                assert file
                place(member.name).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(place(member.name), file.read())
                sizes.pop(Path(member.name).name, None)
                (folder / Path(member.name).name).unlink(missing_ok=True)
    for name in sizes:
        place(name).parent.mkdir(exist_ok=True)
        (folder / name).rename(place(name))


def _classes_of_val(root: Path) -> list[str]:
    """Of each of val's images, in the order of their numbers, from the devkit."""
    from torchvision.datasets import imagenet

    if (root / DEVKIT).is_file():
        imagenet.parse_devkit_archive(root)
    elif not (root / imagenet.META_FILE).is_file():
        raise UsageError(
            f"dataset=imagenet: {root / 'val'} is not in class folders yet, and {DEVKIT}, which tells the classes of "
            f"its images, is not in {root}; place it there"
        )
    return imagenet.load_meta_file(root)[1]


def _files(archive: Path) -> Iterator[tarfile.TarInfo]:
    """What is in an archive; macOS adds files of its own, ._NAME."""
    with tarfile.open(archive) as tar:
        yield from (member for member in tar if member.isfile() and not Path(member.name).name.startswith("._"))


def _check(archive: Path, wanted: bool) -> None:
    from torchvision.datasets import imagenet

    if not wanted:
        return
    print(f"unpacking {archive}", file=sys.stderr)
    expected = next(md5 for name, md5 in imagenet.ARCHIVE_META.values() if name == archive.name)
    if expected and md5_of(archive) != expected:
        raise UsageError(f"dataset=imagenet: the checksum of {archive} is wrong; fetch it again")
