"""What goes wrong: a user's mistake is one line and exit code 2; everything else is a bug and keeps its traceback."""

import contextlib
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# what a disk or its owner refuses -> the remedy
_ROOM = "make room, or choose another folder by ACPROP_RUNS, ACPROP_DATA or ACPROP_RESULTS"
_ELSEWHERE = "choose another folder by ACPROP_RUNS, ACPROP_DATA or ACPROP_RESULTS"
DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EIO), _ELSEWHERE
    ),
}


class UsageError(Exception):
    """A user's mistake. The message is one line that names the argument, its value, what is allowed and the remedy."""


class Diverged(Exception):  # noqa: N818 - a result, not an error
    """Training produced a number that is not finite. Ends a run as `diverged`: a result, not a failure."""


def require(condition: bool, argument: str, value: Any, allowed: str) -> None:
    """Raises `UsageError` in the house's form unless `condition` holds."""
    if not condition:
        raise UsageError(f"{argument}={value!r} is not possible: {allowed}")


def require_one_of(argument: str, value: Any, allowed: Iterable[Any]) -> None:
    allowed = list(allowed)
    require(value in allowed, argument, value, f"choose one of {', '.join(map(str, allowed))}")


@contextlib.contextmanager
def whole_data(dataset: str, place: Path, instead: str) -> Iterator[None]:
    """Reads the files of a data set. Whatever a reader stumbles over, and readers raise anything, is said in one line.

    Args:
        place: the file or folder that the data set is.
        instead: a data set that needs no file.
    """
    try:
        yield
    except (UsageError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"dataset={dataset}: {place} does not hold the whole data set ({reason}); remove it and get it again, or "
            f"run dataset={instead}"
        ) from error


def explain_system(error: Exception) -> str | None:
    """What the disk or the memory refused, and the remedy, in one line; None for other errors."""
    # torch's allocators have no class of their own on every device
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error):
        first = (str(error).splitlines() or ["no memory is left"])[0]
        return f"{first}; a smaller batch_size, width or buffer needs less"
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):  # tempfile tried them all
        return f"{error.strerror}; make room in one of them, or name another by TMPDIR"
    if not isinstance(error, OSError) or error.errno not in DISK:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; {DISK[error.errno]}; the same command then goes on from the last checkpoint"
