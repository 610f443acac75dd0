"""Fetching a file of a data set, once, by checksum."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from acprop.runs.errors import UsageError


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(name: str, urls: list[str], path: Path, md5: str | None, embedded: str = "digits") -> None:
    """Fetches the first of `urls` that answers into `path`, going on where a broken download stopped.

    Args:
        name: of the data set, for the message of a failure, which also names `embedded`, one that needs no download.
        md5: the checksum; None where none is published: a file that is there is then taken as it is.
    """
    if path.exists() and md5 in (None, md5_of(path)):
        return
    found = f"{path} is there, but its checksum is wrong" if path.exists() else f"not in {path.parent}"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    reason = ""
    for url in urls:
        done = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer, part.open("ab") as file:
                if answer.status != 206:  # the server starts from the beginning
                    file.truncate(0)
                while chunk := answer.read(1 << 20):
                    file.write(chunk)
        except (urllib.error.URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
            continue
        if md5 in (None, md5_of(part)):
            part.replace(path)
            return
        part.unlink()
        reason = "its checksum is wrong"
    if part.exists() and not part.stat().st_size:
        part.unlink()
    raise UsageError(
        f"dataset={name}: {found}, and {urls[-1]} could not be fetched ({reason}); place it there or "
        f"set ACPROP_DATA to the folder that holds it; dataset={embedded} runs now, without any download"
    )
