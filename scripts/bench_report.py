"""What the report costs as records grow: seconds, memory and the size of the page for n records of 200 epochs each,
again without a change, and after one run more.

    python scripts/bench_report.py            # 100, 1,000 and 10,000 records
    python scripts/bench_report.py 500 2000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

import yaml

from acprop.runs.compose import composed
from acprop.runs.identity import config_hash, resolved

EPOCHS, SEEDS, MODELS = 200, 5, ("vgg11", "resnet34", "densenet121")
ROOT = Path(__file__).resolve().parents[1]


def config(*overrides: str) -> dict:
    settings = resolved(composed("cifar", "scale=paper", *overrides))
    settings.pop("hydra")
    return settings


def leave(root: Path, count: int) -> None:
    """`count` records as the CNN runner leaves them: three nets, many learning rates, five seeds each."""
    base = {model: config("dataset=cifar10", f"model={model}", "tuned=none") for model in MODELS}
    for number in range(count):
        cell, seed = divmod(number, SEEDS)
        rate, which = divmod(cell, len(MODELS))
        model = MODELS[which]
        settings = {**base[model], "seed": seed}
        settings["optimizer"] = {**settings["optimizer"], "lr": 1e-3 * (1 + rate / 1000)}
        folder = root / "cifar" / f"cifar10-{model}" / f"acprop-{config_hash(settings)}" / f"seed={seed}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        lines = []
        for epoch in range(1, EPOCHS + 1):
            here = {"step": 391 * epoch, "epoch": epoch, "lr": 1e-3, "wall_s": 20.0 * epoch}
            for split in ("train", "test"):
                for metric in ("loss", "top1", "top5"):
                    value = 90 + (epoch + seed) / 100
                    lines.append(json.dumps({**here, "split": split, "metric": metric, "value": value}))
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        final = {f"{split}/{metric}": 92.0 + seed for split in ("train", "test") for metric in ("loss", "top1", "top5")}
        summary = {
            "schema": 2, "status": "done", "task": "cifar", "dataset": "cifar10", "model": model, "optimizer": "acprop",
            "seed": seed, "scale": "paper", "hash": config_hash(settings), "selection": "max of test/top1 over epochs",
            "final": final, "best": {"value": 93.0, "epoch": 190, "step": 1}, "device": "a", "threads": 1,
            "commit": "b", "wall_s": 4000.0, "steps": 78200, "epochs": EPOCHS,
        }  # fmt: skip
        (folder / "run.json").write_text(json.dumps(summary, indent=2))


def timed(*words: str, **environment: str) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MiB) of a command of this Python."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)  # of this process alone
    if status:
        sys.exit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[100, 1000, 10_000])
    print("| records | report, s | CPU s | peak MiB | page MB | again, s | after one run more, s |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for count in parser.parse_args().counts:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            leave(root / "runs", count)
            where = {
                "ACPROP_RUNS": f"{root}/runs",
                "ACPROP_RESULTS": f"{root}/report",
                "ACPROP_RECORDS": f"{root}/none",
            }
            wall, cpu, memory = timed("-m", "acprop.report", **where)
            again, _, _ = timed("-m", "acprop.report", **where)
            smoke = ("dataset=digits", "model=vgg11", "scale=smoke", "tracking=none", "train_size=100")
            more, _, _ = timed("-m", "experiments.cifar", *smoke, **where)
            page = (root / "report" / "report.html").stat().st_size / 1e6
        print(
            f"| {count:,} | {wall:.1f} | {cpu:.1f} | {memory:.0f} | {page:.2f} | {again:.1f} | {more:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
