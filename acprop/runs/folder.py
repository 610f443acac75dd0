"""A run's folder while a run is at work in it: one process at a time, and nothing old goes before the new is whole.

The lock is a file beside the folder, `.seed=<n>.lock`, so that the folder itself can be exchanged, or leave no trace.
"""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any, TextIO

from acprop.runs.errors import UsageError
from acprop.runs.identity import runs_root
from acprop.runs.record import FINISHED, write_json


class RunFolder:
    """The folder of one run, this process's own until `release`.

    Attributes:
        path: where the run works: `final`, or beside it while a record stands there that it may replace.
        previous: what run.json said of the run that this one goes on with, or None.
    """

    def __init__(self, final: Path, again: bool) -> None:
        """
        Args:
            again: start anew although there is a record.

        Raises:
            UsageError: another process is at work there, or its run.json is damaged.
        """
        self.final = self.path = final
        self._old = final.with_name(f".{final.name}.old")
        self._lock = self._take()
        try:
            if self._old.exists():  # a kill came between the two renames of `_replace`
                shutil.rmtree(self._old) if final.exists() else self._old.rename(final)
            self.previous = read_summary(final) if not again else None
            beside = final.with_name(f".{final.name}.new")
            shutil.rmtree(beside, ignore_errors=True)  # of a forced run that was killed
            if again and final.exists():
                self.path = beside
            self.path.mkdir(parents=True, exist_ok=True)
            for stray in self.path.glob(".*"):  # files that a kill cut short, see `write_atomically`
                stray.unlink()
        except BaseException:
            self.release()
            raise

    def settle(self, finished: bool) -> None:
        """The run has ended, in a record. If it worked beside an older one it takes its place, unless that was finished
        and this one is not."""
        if self.path == self.final:
            return
        try:
            older = (read_summary(self.final) or {}).get("status")
        except UsageError:
            older = "damaged"
        if finished or older not in FINISHED:
            self._replace()
        else:
            shutil.rmtree(self.path)
        self.path = self.final

    def _replace(self) -> None:
        self.final.rename(self._old)
        self.path.rename(self.final)
        shutil.rmtree(self._old)

    def leave_no_trace(self) -> None:
        """The run has not begun: what was there before is there again, and nothing else."""
        if self.previous is not None:
            write_json(self.path / "run.json", self.previous)
        else:
            shutil.rmtree(self.path)

    def release(self) -> None:
        """Gives the folder up. Folders that are empty now go."""
        path = lock_of(self.final)
        path.unlink(missing_ok=True)  # while it is ours: who opens it meanwhile finds out, see `_take`
        self._lock.close()
        for parent in path.parents:
            if parent == runs_root().parent:
                break
            try:
                parent.rmdir()
            except OSError:  # not empty, or gone already
                break

    def _take(self) -> TextIO:
        path = lock_of(self.final)
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = path.open("w")
            except FileNotFoundError:  # another process cleans up at this moment
                continue
            except FileExistsError:  # likewise, between mkdir's failure and its look at what is there
                if path.parent.exists() and not path.parent.is_dir():
                    raise
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise UsageError(
                    f"{self.final.name}: another process is at work in {self.final}; wait for it"
                ) from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    return lock
            lock.close()  # another process removed the file before it was ours


def lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What run.json says, or None if there is none."""
    path = folder / "run.json"
    try:
        summary = json.loads(path.read_text())
        summary["status"]
        return summary
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: damaged ({error}); force=true runs it again") from error
