"""The paper, for as long as there is time: what settles most per minute first, stopped cleanly, gone on with next time.

    python scripts/reproduce.py --budget 9m [overrides]     (`make reproduce BUDGET=9m`)

A unit of work is one training, or a command with many short ones. What it settles is counted in published numbers, a
training as its share of the five seeds; how long it takes is what finished ones took on this device, else what
docs/scale.md assumes of an A100. On several GPUs as many trainings run side by side. Exit code 1 if something failed, 2
if it was the user's to mend (a data set that is not there).
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from omegaconf import open_dict

from acprop.runs import UsageError, load_records, runs_root
from acprop.runs.conf import roster
from acprop.runs.identity import resolved, run_dir
from acprop.runs.launch import MISTAKES, explain
from acprop.runs.record import FINISHED
from scripts.plan import config

SEEDS = 5
CPU_SLOWER = 200  # assumed: a CPU beside the A100 of docs/scale.md
STOP_S, REPORT_S = 45, 30  # that a training may take to save itself, and the report at the end

# (row of docs/scale.md, task, cell, optimizers)
TRAININGS = (
    *((f"Fig 6: {label}", "cifar", f"dataset=cifar10 model={model}", "fig6")
      for label, model in (("VGG-11", "vgg11"), ("ResNet-34", "resnet34"), ("DenseNet-121", "densenet121"))),
    ("Table 2: ResNet-18", "imagenet", "dataset=imagenet model=resnet18", "table2"),
    *((f"Table 3: {label}", "transformer", f"dataset={pair} model=transformer_iwslt", "table3")
      for label, pair in (("DE-EN", "iwslt14_de_en"), ("EN-VI", "iwslt15_en_vi"), ("RO-EN", "ted_ro_en"),
                          ("JA-EN", "ted_ja_en"))),
    *((f"Table 4: {model.upper()}", "gan", f"dataset=cifar10 model={model}", "table4")
      for model in ("dcgan", "rlgan", "sngan", "sagan")),
    *((f"Table 5, CIFAR-{n}: WRN-28-10", "cifar", f"dataset=cifar{n} model=wrn28_10 tuned=none", "table5")
      for n in (10, 100)),
    *((f"Table 5, AvaGrad: {label}", "transformer", f"dataset={pair} model=transformer_iwslt tuned=none", "")
      for label, pair in (("DE-EN", "iwslt14_de_en"), ("RO-EN", "ted_ro_en"))),
    *((f"Table 5, AvaGrad: {model.upper()}", "gan", f"dataset=cifar10 model={model} tuned=none", "")
      for model in ("dcgan", "sngan")),
)  # fmt: skip
# (what it is, command, numbers or claims that it settles, minutes on two cores; None: the sum over rows of that name)
COMMANDS = (
    ("Fig 1 to 5b, Rosenbrock, the rate", "make theory", 20, 5.0),
    ("Fig 9", "make rl", 1, 10.0),
    ("Fig 7", "make sweep NAME=fig7", 1, None),
    ("Fig 5c, d", "make sweep NAME=fig5cd", 2, None),
)


@dataclass(frozen=True)
class Unit:
    name: str
    command: tuple[str, ...]
    settles: float
    minutes: float
    data: str = ""  # that it needs

    @property
    def worth(self) -> float:
        return self.settles / self.minutes


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", required=True, help="9m, 2h, 1h30m, 90s")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, for every training")
    given = parser.parse_args(arguments)
    try:
        end = time.monotonic() + seconds(given.budget)
        todo = sorted(units(given.overrides), key=lambda unit: -unit.worth)
    except MISTAKES as error:
        print(f"error: {explain(error, 'cifar')}", file=sys.stderr)
        return 2
    hours = sum(unit.minutes for unit in todo) / 60
    print(
        f"{len(todo)} units of work are left, some {hours:,.0f} h on this device; the first: {todo[0].name}", flush=True
    )
    codes = work(todo, end - REPORT_S, torch.cuda.device_count() or 1)
    subprocess.run(["make", "--no-print-directory", "report"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    print("the same command goes on from here; the report is rebuilt")
    return 0 if not codes else 2 if set(codes) == {2} else 1


def seconds(budget: str) -> float:
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", budget)
    if not match or not any(match.groups()):
        raise UsageError(f"BUDGET={budget!r} is not possible: a time such as 9m, 2h, 1h30m or 90s")
    return sum(int(number or 0) * size for number, size in zip(match.groups(), (3600, 60, 1), strict=True))


# -- what there is to do -----------------------------------------------------------------------------------------------


def units(overrides: Sequence[str]) -> list[Unit]:
    assumed, took = assumed_hours(), taken()
    ended = {record.folder for record in load_records() if record.summary["status"] in FINISHED}
    cells = {(folder.rpartition("-")[0], folder.rpartition("=")[2]) for folder in ended}
    found = []
    for name, command, settles, minutes in COMMANDS:
        hours = sum(runs * hours for row, (runs, hours) in assumed.items() if row.startswith(f"{name}:"))
        found.append(Unit(name, tuple(command.split()), settles, minutes or hours * 60))
    for row, task, cell, of in TRAININGS:
        words = dict(word.split("=") for word in cell.split())
        minutes = took.get((task, words["model"]), assumed[row][1] * 60)
        for seed in range(SEEDS):
            for optimizer in roster(of) if of else ("avagrad",):
                settings = (*cell.split(), f"optimizer={optimizer}", f"seed={seed}", "scale=paper", *overrides)
                # composing takes a tenth of a second: only where a run of these names has ended
                known = (f"{task}/{words['dataset']}-{words['model']}/{optimizer}", str(seed)) in cells
                if known and folder_of(task, settings) in ended:
                    continue
                call = (sys.executable, "-m", f"experiments.{task}", *settings)
                name = f"{row}, {optimizer}, seed {seed}"
                found.append(Unit(name, call, 1 / SEEDS, minutes, words["dataset"]))
    return found


def assumed_hours() -> dict[str, tuple[int, float]]:
    """Row of docs/scale.md -> (runs, hours of one), of a GPU; on a CPU so much more."""
    slower = 1 if torch.cuda.is_available() else CPU_SLOWER
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "scale.md").read_text().split("\n")]
    return {
        cells[0]: (int(cells[1]), float(cells[5]) * slower) for cells in rows if len(cells) == 10 and ": " in cells[0]
    }


def this_device() -> str:
    from acprop.runs.environment import describe, pick_device

    return str(describe(pick_device("auto"), "fp32")["device"])


def taken() -> dict[tuple[str, str], float]:
    """(task, model) -> minutes of a finished training at the paper's scale on this device, the median."""
    device, minutes = this_device(), dict[tuple[str, str], list[float]]()
    for record in load_records():
        one = record.summary
        if one["status"] == "done" and one["scale"] == "paper" and one["device"] == device:
            minutes.setdefault((one["task"], one["model"]), []).append(one["wall_s"] / 60)
    return {cell: statistics.median(every) for cell, every in minutes.items()}


def folder_of(task: str, settings: Iterable[str]) -> str:
    """Of the run of these overrides, as its record has it."""
    cfg = config(task, *settings)
    with open_dict(cfg):
        cfg.pop("hydra")
    return run_dir(resolved(cfg)).relative_to(runs_root()).as_posix()


# -- doing it ----------------------------------------------------------------------------------------------------------


def work(todo: Iterable[Unit], end: float, parallel: int) -> list[int]:
    """Starts units in their order, `parallel` at a time, until `end`, then stops what is at work. Returns the exit
    codes of those that failed. Of a data set that is not there, no second training is tried."""
    waiting, running = list(todo), dict[subprocess.Popen[bytes], Unit]()
    codes, missing = list[int](), set[str]()
    while (waiting or running) and time.monotonic() < end:
        waiting = [unit for unit in waiting if not unit.data or unit.data not in missing]
        while waiting and len(running) < parallel:
            unit = waiting.pop(0)
            print(f"{unit.name} (some {unit.minutes:,.0f} min)", flush=True)
            running[subprocess.Popen(unit.command, cwd=ROOT, start_new_session=True)] = unit
        time.sleep(0.05)
        for process in [process for process in running if process.poll() is not None]:
            unit = running.pop(process)
            if process.returncode:
                codes.append(process.returncode)
                missing |= {unit.data} if process.returncode == 2 else set()
    for process in running:
        os.killpg(process.pid, signal.SIGTERM)
    for process, unit in running.items():
        try:
            process.wait(STOP_S)
            print(f"stopped, and kept: {unit.name}", flush=True)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            print(f"it did not stop in {STOP_S} s; its last checkpoint is kept: {unit.name}", flush=True)
    return codes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
