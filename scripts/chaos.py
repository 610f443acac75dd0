"""Faults against real runs, and bad input against real commands; what was lost is counted.

    make chaos                                   # all of it: within 15 minutes on 2 cores
    python scripts/chaos.py --share 0.25 --seed 3  # a quarter of the faults of each task, drawn by the seed

A fault survives if the run, started again with the same command, ends in the numbers of an undisturbed run, bit for bit
(records without times, and every tensor of the checkpoint), no process is left over, and nothing else is in the folder.
Bad input is handled if it ends in one line and exit code 2, and makes nothing. Exit code 1 if anything is lost.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from acprop.runs.stopping import alive
from experiments.transformer import checkpoints
from tests.runs.bad_inputs import CASES

COMMANDS = {  # the longest first, so that none is left alone at the end
    "transformer": "scale=smoke epochs=3",
    # all that has a state: spectral norm, class norms, attention, a loss with real images, an average of the weights
    "gan": "model=sagan model.d_steps=1 model.loss=rasgan ema=0.9 scale=smoke steps=12 fid_every=4 "
    "checkpoint_every_s=0 classifier.epochs=1 classifier.model.width=0.0625",
    "cifar": "model=resnet34 scale=smoke epochs=4 batch_size=64 checkpoint_every_s=0 train_size=512",
    # learns early, and the memory wraps around
    "rl": "steps=1200 scale=smoke num_envs=2 model.learning_starts=100 model.buffer_size=500 checkpoint_every_s=0",
    "theory": "study=fig5 budget=0.1",
}
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDS_IN_S = 15
AT_ONCE = len(os.sched_getaffinity(0))  # each on one thread


class Place:
    """Folders of one cell: it is run there, disturbed, and run again."""

    def __init__(self, root: Path, task: str, lasts: float = 0.0) -> None:
        """lasts: seconds of an undisturbed run."""
        self.task, self.runs, self.lasts = task, root / "runs", lasts
        self.environment = {
            **os.environ, "ACPROP_RUNS": str(self.runs), "ACPROP_RESULTS": str(root / "results"),
            "OMP_NUM_THREADS": "1", "ACPROP_DATA": str(root.parent / "data"), "WANDB_MODE": "offline",
        }  # fmt: skip

    def start(self, *more: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", f"experiments.{self.task}", *COMMANDS[self.task].split(), *more], cwd=ROOT,
            env={**self.environment, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self) -> str:
        """Runs to the end; what was wrong, or nothing."""
        process = self.start()
        _, said = process.communicate(timeout=600)
        return "" if process.returncode == 0 else f"rerun ends with {process.returncode}: {said.strip()[-300:]}"

    def folder(self) -> Path | None:
        found = [path for path in self.runs.glob(f"{self.task}/*/*/seed=0") if path.is_dir()]
        return found[0] if found else None

    def summary(self) -> dict[str, Any] | None:
        """run.json, as soon as there is one."""
        folder = self.folder()
        path = folder and folder / "run.json"
        return json.loads(path.read_text()) if path and path.exists() else None

    def result(self) -> dict[str, Any]:
        """All that must be equal when a run is repeated."""
        folder = self.folder()
        assert folder
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        summary = json.loads((folder / "run.json").read_text())
        found: dict[str, Any] = {
            "lines": [{**line, "wall_s": 0} for line in lines],
            "files": {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".npz", ".png")},
            **{key: summary[key] for key in ("status", "final", "best", "steps", "epochs")},
        }
        if (folder / "checkpoint.pt").exists():
            state = torch.load(folder / "checkpoint.pt", weights_only=True)
            found["checkpoint"] = dict(tensors(state["objects"]))
        for path in sorted(folder.glob("fairseq/checkpoint*.pt")):
            state = checkpoints.load(path)  # but for its statistics of this process
            found[path.name] = dict(tensors([state["model"], state["last_optimizer_state"]]))
        return found

    def left_over(self) -> list[str]:
        return [str(path) for path in self.runs.rglob(".*") if path.name.startswith((".seed", ".checkpoint", ".run"))]


def tensors(node: Any, path: str = "") -> Iterator[tuple[str, bytes]]:
    if isinstance(node, torch.Tensor):
        yield path, node.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if node.numel() else b""
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from tensors(value, f"{path}/{key}")
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from tensors(value, f"{path}/{number}")


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of results that are not equal, and of some of what they hold."""
    names = []
    for name in sorted(one.keys() | other.keys()):
        a, b = one.get(name), other.get(name)
        if a != b:
            keys = [key for key in {**a, **b} if a.get(key) != b.get(key)] if type(a) is type(b) is dict else []
            names.append(f"{name} {' '.join(keys[:3])}".strip())
    return names


def family(pid: int) -> set[int]:
    """A process and all under it."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, table.splitlines())}
    found, new = {pid}, {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def at_work(place: Place, process: subprocess.Popen, wait: float) -> None:
    """Returns `wait` seconds after the run's record begins, or when it ends."""
    while process.poll() is None and place.summary() is None:
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(wait)


# -- faults: each disturbs a run, and says what was wrong at once ------------------------------------------------------


def killed(kind: int) -> Callable[[Place, random.Random], str]:
    def fault(place: Place, chance: random.Random) -> str:
        process = place.start()
        at_work(place, process, chance.uniform(0, place.lasts))
        members, sent = family(process.pid), time.time()
        process.send_signal(kind)
        process.communicate(timeout=60)
        seconds = time.time() - sent
        while any(map(alive, members)) and time.time() - sent < ENDS_IN_S:
            time.sleep(0.1)
        left = sum(map(alive, members))
        wrong = f"{left} processes left" if left else ""
        if kind != signal.SIGKILL and process.returncode not in (0, 128 + kind):
            wrong = f"exit code {process.returncode}"
        return wrong or ("" if seconds < 10 else f"took {seconds:.0f} s to end")

    return fault


def full_disk(place: Place, chance: random.Random) -> str:
    """A write fails, as on a full disk: files may grow to so many bytes and no more."""
    process = subprocess.Popen(
        ["bash", "-c", f'trap "" XFSZ; ulimit -f {chance.choice((0, 1, 4, 16))}; exec "$@"', "-", sys.executable, "-m",
         f"experiments.{place.task}", *COMMANDS[place.task].split(), "tracking=none"],
        cwd=ROOT, env={**place.environment, "PYTHONDONTWRITEBYTECODE": "1"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _, said = process.communicate(timeout=600)
    return "a traceback" if "Traceback" in said else ""


def no_mirror(place: Place, chance: random.Random) -> str:
    """wandb fails in one of its ways; the run must not notice."""
    broken = chance.choice(({"WANDB_MODE": "bogus"}, {"WANDB_BASE_URL": "not-a-url"}, {"WANDB_SILENT": "maybe"}))
    process = place.start(**{"WANDB_MODE": "", **broken})
    _, said = process.communicate(timeout=600)
    return "" if process.returncode == 0 else f"exit code {process.returncode}: {said.strip()[-200:]}"


def cut_checkpoint(place: Place, chance: random.Random) -> str:
    """Half a checkpoint: one line, and force=true starts again."""
    wrong = killed(signal.SIGKILL)(place, chance)
    folder, summary = place.folder(), place.summary()
    path = folder and folder / "checkpoint.pt"
    if not path or not path.exists() or not summary or summary["status"] == "done":
        return wrong
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    process = place.start()
    _, said = process.communicate(timeout=600)
    if process.returncode != 2 or said.count("\n") != 1:
        return f"half a checkpoint: exit code {process.returncode}: {said.strip()[-200:]}"
    process = place.start("force=true")
    process.communicate(timeout=600)
    return wrong if process.returncode == 0 else f"force=true after it: exit code {process.returncode}"


def forced(place: Place, chance: random.Random) -> str:
    """A finished record is asked for again, and that is killed: the record is there as it was."""
    if wrong := place.finish():
        return wrong
    before = place.result()
    process = place.start("force=true")
    at_work(place, process, chance.uniform(0, place.lasts) + 3)
    process.send_signal(chance.choice(KILLS))
    process.communicate(timeout=60)
    return "" if place.result() == before else "the finished record is another"


FAULTS: dict[str, Callable[[Place, random.Random], str]] = {
    **{signal.Signals(kind).name: killed(kind) for kind in KILLS},
    "full disk": full_disk,
    "wandb fails": no_mirror,
    "checkpoint cut": cut_checkpoint,
    "force, then killed": forced,
}


def disturb(root: Path, tasks: list[str], share: float, chance: random.Random) -> Counter:
    """Injects faults; prints what was lost; returns counts by (fault, outcome)."""
    of_each = max(1, round(share * len(FAULTS)))
    plan = [(task, name) for task in tasks for name in chance.sample(list(FAULTS), of_each)]

    def undisturbed(task: str) -> tuple[dict[str, Any], float]:
        whole = Place(root / f"whole-{task}", task)
        assert not (wrong := whole.finish()), wrong
        return whole.result(), (whole.summary() or {})["wall_s"]

    def disturbed(number: int, task: str, name: str, seed: int) -> tuple[str, str]:
        expected, lasts = wholes[task]
        place = Place(root / str(number), task, lasts)
        wrong = FAULTS[name](place, random.Random(seed)) or place.finish()
        if not wrong and (other := differing(expected, place.result())):
            wrong = f"other than undisturbed: {', '.join(other)}"
        if not wrong and (left := place.left_over()):
            wrong = f"left over: {left[0]}"
        print(f"{task:12} {name:20} {wrong or 'survived'}", flush=True)
        return name, "lost" if wrong else "survived"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        wholes = dict(zip(tasks, pool.map(undisturbed, tasks), strict=True))
        seeds = [chance.getrandbits(32) for _ in plan]
        return Counter(pool.map(disturbed, range(len(plan)), *zip(*plan, strict=True), seeds))


def refuse(root: Path, share: float, chance: random.Random) -> Counter:
    """Gives bad input to real command lines; the whole table is tested in-process by tests/runs."""

    def given(number: int, task: str, overrides: list[str]) -> tuple[str, str]:
        place = Place(root / f"bad-{number}", task)
        done = subprocess.run(
            [sys.executable, "-m", f"experiments.{task}", *overrides], cwd=ROOT, env=place.environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        handled = done.returncode == 2 and done.stderr.count("\n") == 1 and not place.runs.exists()
        if not handled:
            said = f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"
            print(f"{task} {' '.join(overrides)}: {said}", flush=True)
        return task, "handled" if handled else "not handled"

    cases = chance.sample(CASES, max(1, round(share * len(CASES) / 10)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(given, range(len(cases)), *zip(*cases, strict=True)))


def table(title: str, counts: Counter, good: str, bad: str) -> None:
    print(f"\n| {title} | tried | {good} | {bad} |\n|---|---:|---:|---:|")
    for name in dict.fromkeys(name for name, _ in counts):
        right, wrong = counts[name, good], counts[name, bad]
        print(f"| {name} | {right + wrong} | {right} | {wrong} |")
    right, wrong = (sum(n for (_, outcome), n in counts.items() if outcome == which) for which in (good, bad))
    print(f"| **all** | {right + wrong} | {right} | {wrong} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of all faults and bad inputs")
    parser.add_argument("--tasks", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="whose runs are disturbed")
    parser.add_argument("--seed", type=int, default=0, help="draws them, and the moments at which they come")
    arguments = parser.parse_args()
    chance, started = random.Random(arguments.seed), time.time()
    for kind in KILLS[1:]:
        if signal.getsignal(kind) is signal.SIG_IGN:  # by a shell's `&` or nohup: runs would inherit it, and obey
            signal.signal(kind, signal.SIG_DFL)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        faults = disturb(Path(name), arguments.tasks, arguments.share, chance)
        inputs = refuse(Path(name), arguments.share, chance)
    table("fault", faults, "survived", "lost")
    table("bad input of", inputs, "handled", "not handled")
    print(f"\nseed {arguments.seed}, {time.time() - started:.0f} s")
    return int(any(outcome in ("lost", "not handled") for _, outcome in {**faults, **inputs}))


if __name__ == "__main__":
    sys.exit(main())
