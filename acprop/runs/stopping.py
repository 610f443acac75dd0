"""How a process ends before its time: SIGINT, SIGTERM and SIGHUP mean the same, and children end with their parent.

What is at work saves and ends within seconds, with exit code 128 + signal. Python hands a signal to the main thread
between two of its steps; where that thread takes no step (a loop without end, a library that computes for minutes, a
wait for a process that is gone), another thread, which hears the signal at once, gives up in its place.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 6  # between a signal and giving up
OTHERS_S = 8  # for other processes to save and end: GRACE_S, and to write it down


class Interrupted(SystemExit):
    """A signal arrived; what was needed is saved. As a `SystemExit` it also ends the sweep around it."""


class Watch:
    """Listens to `SIGNALS`, as a context of the main thread; in another it does nothing, and others stop its process.
    A signal that the process was started to ignore (nohup) stays ignored; only the first one counts.

    Attributes:
        received: the signal, or None.
        patient: what is at work looks at `received` itself; otherwise a signal raises `Interrupted` where it finds it.
    """

    def __init__(
        self, give_up: Callable[[int], None], before: Callable[[], None] | None = None, grace_s: float = GRACE_S
    ) -> None:
        """
        Args:
            give_up: called with the signal, from another thread, if the context has not ended in `grace_s`.
            before: called before `Interrupted` is raised.
        """
        self.give_up, self.before, self.grace_s = give_up, before, grace_s
        self.received: int | None = None
        self.patient = False
        self.ended = threading.Event()
        self.handlers: dict[int, Any] = {}

    def __enter__(self) -> "Watch":
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.handlers[number] = signal.signal(number, self._hear)
        reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.old_writer = signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        if self.handlers:
            signal.set_wakeup_fd(self.old_writer)
            os.close(self.writer)
            for number, handler in self.handlers.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = number
        if not self.patient:
            if self.before:
                self.before()
            raise Interrupted(128 + number)

    def _listen(self, reader: int) -> None:
        heard = next((byte[0] for byte in iter(lambda: os.read(reader, 1), b"") if byte[0] in self.handlers), None)
        if heard is not None and not self.ended.wait(self.grace_s):
            self.give_up(heard)
        os.close(reader)  # not before: a second signal is written, too


def end_at_once() -> None:
    """Outside of every `Watch`, before and after the work, a signal ends this process without a word, with 128 + signal
    too."""

    def end(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # closed, or in the middle of a line
            sys.stdout.flush()
        os._exit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def alive(pid: int) -> bool:
    """Whether a process of this machine is at work: what has ended and was not asked for its exit code is not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody's, so it is there
        return True
    return True


def end_all(pids: Iterable[int]) -> None:
    """Tells processes to save and end, and waits for them, `OTHERS_S` at most."""
    asked = [pid for pid in pids if alive(pid)]
    for pid in asked:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + OTHERS_S
    while any(map(alive, asked)) and time.monotonic() < deadline:
        time.sleep(0.05)


@cache
def end_with(pid: int) -> None:
    """From now on this process gets SIGTERM when process `pid`, or the one that really started it, is gone. Asked once
    a second: Linux's own death signal would come at the end of the thread that started it, not of the process."""
    started_by = os.getppid()

    def ask() -> None:
        while alive(pid) and os.getppid() == started_by:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=ask, daemon=True).start()
