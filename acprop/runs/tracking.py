"""wandb, the mirror of the record. No fault of it changes a run's status, record or end: it works in a process of its
own (mirror.py), which is told what happens and waited for at the end alone, for seconds. What was not mirrored is said
in one line, and stays in the record.
"""

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

# Seconds that a run waits at its end for what is not mirrored yet, by what the mirror has reached.
PATIENCE = {"starting": 20, "connecting": 4, "at work": 20}
HURRY = 3  # where a signal wants the end


class Mirror:
    """The process of mirror.py, one for all runs of this process, that are mirrored one after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("mirror.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,  # Ctrl-C is for the run
        )  # fmt: skip
        self.outbox: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for work in (self._write, self._read):  # of their own: a stopped process reads and writes nothing
            threading.Thread(target=work, daemon=True).start()
        atexit.register(self.end)

    def send(self, **message: Any) -> None:
        self.outbox.put(json.dumps(message, default=str))

    def _write(self) -> None:
        assert self.process.stdin
        with contextlib.suppress(OSError, ValueError):  # it is gone: `answer` tells
            while line := self.outbox.get():
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()
            self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put({"fault": "its process is gone", "lost": True})

    def end(self, patience: float = 4) -> None:
        """Ends the process and what wandb started in it."""
        self.outbox.put("")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@cache
def the_mirror(process: int) -> Mirror:
    """The one of this process."""
    return Mirror()


class Tracker:
    """One wandb run. Its id is the run's identity, so a resumed run goes on in the same wandb run."""

    def __init__(
        self, settings: dict[str, Any], folder: Path, run_id: str, resume: bool, config: dict[str, Any]
    ) -> None:
        self.mirror: Mirror | None = None
        if "disabled" in (settings["mode"], settings["mode"] == "auto" and os.environ.get("WANDB_MODE")):
            return
        self.folder, self.phase = folder, "starting"
        names = config["names"]
        self.mirror = the_mirror(os.getpid())
        self.mirror.send(
            start={
                "mode": settings["mode"],
                "project": settings["project"],
                "entity": settings["entity"],
                "id": run_id,
                "name": f"{names['optimizer']} seed={config['seed']}",
                "group": f"{config['task']}/{names['dataset']}-{names['model']}",
                "tags": [config["task"], names["dataset"], names["model"], names["optimizer"], config["scale"]["name"]],
                "dir": str(folder.absolute()),
                "resume": "allow" if resume else None,
                "config": config,
            }
        )

    def log(self, values: dict[str, Any], step: int) -> None:
        if self.mirror:
            self.mirror.send(log=values, step=step)

    def log_image(self, name: str, path: Path, step: int) -> None:
        if self.mirror:
            self.mirror.send(image=name, path=str(path.absolute()), step=step)

    def finish(self, summary: dict[str, Any], exit_code: int, hurry: bool) -> None:
        """Waits, within limits, until all is mirrored; else says in one line that it is not."""
        if not self.mirror:
            return
        self.mirror.send(finish=exit_code, summary=summary)
        if fault := self._fault(self.mirror, hurry):
            sync = (
                f"; `wandb sync {self.folder}/wandb/*run-*` may send it"
                if any(self.folder.glob("wandb/*run-*"))
                else ""
            )
            print(f"wandb: not all is mirrored ({fault}); the record is complete without it{sync}", file=sys.stderr)

    def _fault(self, mirror: Mirror, hurry: bool) -> str | None:
        """What went wrong, once the mirror has finished or is past hope."""
        fault, began = None, time.monotonic()
        while True:
            patience = HURRY if hurry else PATIENCE[self.phase]
            try:
                answer = mirror.answers.get(timeout=max(0.01, began + patience - time.monotonic()))
            except queue.Empty:
                answer = {"fault": f"no answer in {patience} s", "lost": True}
            if "phase" in answer:
                self.phase, began = answer["phase"], time.monotonic()
            fault = fault or answer.get("fault")
            if answer.get("finished"):
                return fault
            if answer.get("lost"):
                the_mirror.cache_clear()
                mirror.end(0)
                return fault
