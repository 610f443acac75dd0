"""fairseq as a child process: its command-line tools, started, listened to, and ended with the run."""

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from acprop.runs import Diverged, UsageError

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


def fairseq(
    tool: str, *options: str, folder: Path, threads: int = 1, log: Path | None = None, **environment: str
) -> Generator[str, None, None]:
    """Runs `python -m fairseq_cli.<tool>` with the suite's plugin and yields what it says, line by line, as it says it.

    Closing the iterator ends the child. The child ends by itself when this process is gone (see fairseq_plugin).

    Args:
        tool: train, preprocess, generate.
        options: its command line. Paths are names within `folder`: fairseq splits longer ones at "," and ":".
        folder: where it works.
        threads: CPU threads.
        log: a file that gets every line too, appended.
        environment: variables of the child's, beside this process's own.

    Raises:
        Diverged: fairseq stopped at numbers that are not finite.
        RuntimeError: it failed otherwise.
    """
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    child = subprocess.Popen(
        [sys.executable, "-m", f"fairseq_cli.{tool}", *options, "--user-dir", str(PLUGIN)],
        cwd=folder, text=True, errors="replace",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, paths))),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(threads),
            **environment,
        },
    )  # fmt: skip
    assert child.stdout
    assert child.stdin
    last = "nothing"
    try:
        with (log or Path(os.devnull)).open("a") as file:
            for line in child.stdout:
                file.write(line)
                file.flush()
                if line.startswith(DIVERGED):
                    raise Diverged(f"fairseq-{tool}: {line.removeprefix(DIVERGED).strip()}")
                last = line.strip() or last
                yield line
        code = child.wait()
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    if code:
        raise RuntimeError(f"fairseq-{tool} ended with code {code}: {last} (all it said: {log or 'not kept'})")
