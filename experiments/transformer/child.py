"""fairseq as a child process: its command-line tools, started, listened to, and ended with the run."""

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from acprop.runs import Diverged, UsageError
from experiments.transformer.tools import ENDED

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).with_name("fairseq_plugin")
PACKAGES = ("fairseq", "sacrebleu", "sacremoses", "subword_nmt", "babel", "num2words")
DIVERGED = "acprop | diverged | "  # how the plugin begins the line that tells of it


def require_packages() -> None:
    """Raises `UsageError`, with the remedy, where what this task needs is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return
    here = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    fits = (platform.system(), platform.machine()) == ("Linux", "x86_64") and sys.version_info[:2] in ((3, 11), (3, 12))
    remedy = "pip install '.[suite]' brings it"
    if "fairseq" in missing and not fits:
        remedy = f"its wheels (ve-fairseq) are for Linux x86_64 and Python 3.11 or 3.12, so not for {here}"
    raise UsageError(f"task=transformer: {', '.join(missing)} is not installed; {remedy}")


class Fairseq:
    """fairseq in a child process that runs its command-line tools one after another, with the suite's plugin.

    Leaving the `with` ends the child. It ends by itself when this process is gone (see tools.py).

    Args:
        folder: where it works. Paths are names within it: fairseq splits longer ones at "," and ":".
        threads: CPU threads.
        environment: variables of the child's, beside this process's own.
    """

    def __init__(self, folder: Path, threads: int = 1, **environment: str) -> None:
        paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "experiments.transformer.tools"], cwd=folder, text=True, errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, paths))),
                "PYTHONUNBUFFERED": "1",
                "OMP_NUM_THREADS": str(threads),
                **environment,
            },
        )  # fmt: skip

    def run(self, tool: str, *options: str, log: Path | None = None) -> Iterator[str]:
        """Runs a tool and yields what it says, line by line, as it says it; to the last line, before the next one runs.

        Args:
            tool: train, preprocess, generate.
            options: its command line.
            log: a file that gets every line too, appended.

        Raises:
            Diverged: fairseq stopped at numbers that are not finite.
            RuntimeError: it failed otherwise.
        """
        assert self._child.stdin
        assert self._child.stdout
        last = "nothing"
        with (log or Path(os.devnull)).open("a") as file:
            with suppress(BrokenPipeError):  # it is gone, and its code says why
                print(json.dumps([tool, *options, "--user-dir", str(PLUGIN)]), file=self._child.stdin, flush=True)
            for line in self._child.stdout:
                if line.endswith(ENDED):  # whatever the tool left of a line before it
                    return
                file.write(line)
                file.flush()
                if line.startswith(DIVERGED):
                    raise Diverged(f"fairseq-{tool}: {line.removeprefix(DIVERGED).strip()}")
                last = line.strip() or last
                yield line
        code = self._child.wait()
        raise RuntimeError(f"fairseq-{tool} ended with code {code}: {last} (all it said: {log or 'not kept'})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.kill()
        with suppress(BrokenPipeError):
            self._child.communicate()
