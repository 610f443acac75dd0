"""Does the suite work on this GPU, and how fast? All of it within 8 minutes, on embedded data.

    python scripts/gpu_check.py [--seconds 2] [--device cpu --width 0.1]     (`make gpu-check`)

Runners at smoke scale as a user starts them, one of them stopped and resumed to the same bits; training steps in which
torch raises if the host waits; the kernel of ACProp(fused=True) against the NumPy transcription; then figures. What it
finds is a record like any other, which `make publish` takes. Exit code 1 if a check fails, 2 without a GPU;
`--device cpu` tries this script itself.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the runners are not installed; they are beside this

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from acprop import ACProp
from acprop.runs import Run, environment
from acprop.runs.compose import composed
from acprop.runs.launch import build
from experiments.gan.train import gan_step, pixels_in_unit_range
from experiments.images.data import ImageData
from experiments.images.train import train_step

CIFAR_MODELS = ("resnet34", "vgg11", "densenet121")
RUNNERS = {
    "cifar": ("model=resnet34",),
    "cifar bf16": ("model=vgg11", "precision=bf16"),
    "gan": ("model=sngan",),
    "gan fp16": ("model=dcgan", "precision=fp16"),
    "imagenet": ("dataset=image_folder", "dataset.path={jpegs}", "image_size=64"),
    "rl": (),
    "transformer": (),
    "transformer fp16": ("precision=fp16",),
}
STEPS = 3  # in which nothing may wait, after as many that warm up


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each figure")
    parser.add_argument("--width", type=float, default=1.0, help="times the paper's channels, for the figures")
    parser.add_argument("--only", choices=CHECKS, nargs="*", default=list(CHECKS), help="some of the checks")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print("error: gpu-check: torch sees no GPU here; --device cpu tries the script itself", file=sys.stderr)
        return 2
    device = environment.pick_device(given.device)
    failed: list[str] = []
    with Run.open(OmegaConf.create(settings(given))) as run:
        for name in given.only:
            started = time.monotonic()
            figures, problems = CHECKS[name](device, given)
            failed += problems
            if figures:
                run.log(name, **figures)
            took = time.monotonic() - started
            print(f"{name}: {'; '.join(problems) or 'as it should be'} ({took:.0f} s)", flush=True)
            for figure, value in figures.items():
                print(f"  {figure:44} {value:12,.2f}")
        run.describe(failed=failed)
    return 1 if failed else 0


def settings(given: argparse.Namespace) -> dict[str, Any]:
    """Of the record: a check is done anew each time."""
    names = {"dataset": "embedded", "model": "all", "optimizer": "all"}
    return {
        "task": "gpu_check", "seed": 0, "force": True, "device": given.device, "threads": None, "names": names,
        "checkpoint_every_s": 60, "tracking": {"mode": "disabled", "project": "acprop", "entity": None},
        "scale": {"name": "check"}, "width": given.width, "seconds": given.seconds, "checks": list(given.only),
    }  # fmt: skip


Found = tuple[dict[str, float], list[str]]  # figures, problems


# -- runners, as a user starts them ------------------------------------------------------------------------------------


def command(folder: Path, device: torch.device, task: str, *overrides: str) -> list[str]:
    return [sys.executable, "-m", f"experiments.{task}", "scale=smoke", "tracking=none", f"device={device.type}",
            *(word.format(jpegs=folder / "jpegs") for word in overrides)]  # fmt: skip


def place(folder: Path, runs: str = "runs") -> dict[str, str]:
    own = {name: str(folder / part) for name, part in (("RUNS", runs), ("DATA", "data"), ("RESULTS", "results"))}
    return {**os.environ, "PYTHONPATH": str(ROOT), **{f"ACPROP_{name}": path for name, path in own.items()}}


def check_runners(device: torch.device, given: argparse.Namespace) -> Found:
    problems, took = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "scripts/make_jpegs.py", folder / "jpegs"], cwd=ROOT, check=True)
        for runner, overrides in RUNNERS.items():
            started = time.monotonic()
            call = command(folder, device, runner.split()[0], *overrides)
            done = subprocess.run(call, cwd=ROOT, env=place(folder), capture_output=True, text=True, check=False)
            took[f"{runner.replace(' ', '_')}_s"] = time.monotonic() - started
            if done.returncode:
                problems.append(
                    f"{runner}: exit code {done.returncode}: {(done.stderr.strip() or '?').splitlines()[-1]}"
                )
    return took, problems


def check_resume(device: torch.device, given: argparse.Namespace) -> Found:
    """Stopped by SIGTERM in its first epoch and started again, a run ends with the numbers of one that was not."""
    with tempfile.TemporaryDirectory() as name:
        folder, found = Path(name), []
        call = command(
            folder, device, "cifar", "model=vgg11", "epochs=3", "batch_size=16", "deterministic=true",
            "checkpoint_every_s=0",
        )  # fmt: skip
        for runs, stop in (("whole", False), ("stopped", True)):
            with subprocess.Popen(call, cwd=ROOT, env=place(folder, runs), stdout=subprocess.DEVNULL) as process:
                while stop and process.poll() is None and not list(folder.glob(f"{runs}/**/checkpoint.pt")):
                    time.sleep(0.02)
                process.send_signal(signal.SIGTERM) if stop else None
            if stop:
                subprocess.run(call, cwd=ROOT, env=place(folder, runs), stdout=subprocess.DEVNULL, check=True)
            (record,) = folder.glob(f"{runs}/cifar/*/*/*/run.json")
            found.append(json.loads(record.read_text()))
        whole, resumed = found
    if resumed["attempts"] != 2:
        return {}, ["resume: it ended before it could be stopped"]
    if whole["final"] != resumed["final"]:
        return {}, [f"resume: {whole['final']} became {resumed['final']}"]
    return {}, []


# -- training steps in this process ------------------------------------------------------------------------------------


def configure(task: str, *overrides: str) -> DictConfig:
    return composed(task, "scale=paper", "dataset=cifar10", *overrides)


def photographs(count: int = 1280) -> ImageData:
    images, labels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8), torch.randint(0, 10, (count,))
    return ImageData(images, labels, images[:10], labels[:10], (0.5,) * 3, (0.25,) * 3, 10, flip=True)


def classifier(device: torch.device, model: str, precision: str, width: float, *more: str) -> Callable[[], Any]:
    """Its training step, data and augmentation included."""
    cfg = configure("cifar", f"model={model}", f"width={width}", *more)
    environment.set_arithmetic(device, precision, deterministic=False)
    net = build("model", cfg.model, num_classes=10, in_channels=3).to(device, memory_format=torch.channels_last)
    optimizer = build("optimizer", cfg.optimizer, net.parameters())
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    totals, data = torch.zeros(4, device=device, dtype=torch.float64), photographs().to(device)
    batches = data.endless_batches(0, cfg.batch_size, memory_format=torch.channels_last)

    def step() -> Tensor:
        x, y = next(batches)
        return train_step(net, optimizer, x, y, precision, totals, scaler, len(y))

    return step


def game(device: torch.device, model: str, precision: str, width: float) -> Callable[[], Any]:
    cfg = configure("gan", f"model={model}", f"width={width}")
    environment.set_arithmetic(device, precision, deterministic=False)
    gan = build("model", cfg.model, num_classes=10, in_channels=3)
    gan.to(device, torch.channels_last)
    g, d = (build("optimizer", cfg.optimizer, net.parameters()) for net in (gan.generator, gan.discriminator))
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    reals = pixels_in_unit_range(photographs(), cfg.mirror).to(device).endless_batches(0, cfg.batch_size)
    losses = torch.zeros(2, device=device, dtype=torch.float64)
    return lambda: gan_step(gan, g, d, reals, cfg.batch_size, precision, losses, scaler)


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def check_waits(device: torch.device, given: argparse.Namespace) -> Found:
    kinds = ("optimizer=acprop", "optimizer=acprop +optimizer.fused=true", "optimizer=adam")
    steps: dict[str, Callable[[], Callable[[], Any]]] = {
        f"{model} {kind}": partial(classifier, device, model, "bf16", given.width, *kind.split())
        for model in CIFAR_MODELS
        for kind in kinds
    }
    steps |= {
        model: partial(game, device, model, "bf16", given.width) for model in ("dcgan", "rlgan", "sngan", "sagan")
    }
    problems = []
    for name, make in steps.items():
        step = make()
        for _ in range(STEPS):
            step()
        try:
            with no_waiting(device):
                for _ in range(STEPS):
                    step()
        except RuntimeError as error:
            problems.append(f"{name}: {str(error).splitlines()[0]}")
    return {}, problems


def check_kernel(device: torch.device, given: argparse.Namespace) -> Found:
    cases = importlib.import_module("tests.optim.cases").CASES
    random = np.random.default_rng(0)
    problems: list[str] = []
    start = random.normal(size=(40, 60))
    grads = [random.normal(size=start.shape) * 10.0 ** random.integers(-3, 2) for _ in range(8)]
    for param in cases:
        case: Any = param.values[0]
        for dtype, precision in ((torch.float64, 1e-9), (torch.float32, 2e-4)):
            if case.cls is not ACProp:
                continue
            p = torch.tensor(start, dtype=dtype, device=device, requires_grad=True)
            optimizer = ACProp([p], **case.arguments(), fused=True)
            for grad, expected in zip(grads, case.expected(start, grads), strict=True):
                p.grad = torch.tensor(grad, dtype=dtype, device=device)
                optimizer.step()
                if not np.allclose(p.detach().cpu().numpy(), expected, rtol=precision, atol=precision):
                    problems.append(f"fused {param.id} {dtype}: not the transcription's")
                    break
    return {}, problems


# -- figures -----------------------------------------------------------------------------------------------------------


def rate(step: Callable[[], Any], seconds: float, device: torch.device) -> float:
    """Steps a second, once it has warmed up (cuDNN tries its algorithms in the first ones)."""

    def timed(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    timed(STEPS)
    count = max(1, int(seconds / (timed(STEPS) / STEPS)))
    return count / timed(count)


def check_figures(device: torch.device, given: argparse.Namespace) -> Found:
    figures: dict[str, float] = {}
    cuda = device.type == "cuda"
    for precision in environment.PRECISIONS if cuda else ("fp32", "bf16"):
        for model in CIFAR_MODELS:
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            step = classifier(device, model, precision, given.width)
            figures[f"{model}_{precision}_images_per_s"] = 128 * rate(step, given.seconds, device)
            figures[f"{model}_{precision}_memory_mib"] = environment.peak_memory_mib(device) or 0.0
        figures[f"sngan_{precision}_steps_per_s"] = rate(
            game(device, "sngan", precision, given.width), given.seconds, device
        )
    return figures | optimizer_steps(device, given), []


def optimizer_steps(device: torch.device, given: argparse.Namespace) -> dict[str, float]:
    """Steps a second on ResNet-34's parameters, of ours and of torch's Adam; fused is one kernel."""
    cfg = configure("cifar", "model=resnet34", f"width={given.width}")
    shapes = [p.shape for p in build("model", cfg.model, num_classes=10, in_channels=3).parameters()]
    found = {}
    for cls in (ACProp, torch.optim.Adam):
        for name in ("fused", "foreach"):
            how: Any = {name: True}
            params = [torch.randn(shape, device=device, requires_grad=True) for shape in shapes]
            for p in params:
                p.grad = torch.randn_like(p)
            optimizer: Any = cls(params, lr=1e-3, **how)
            found[f"{cls.__name__.lower()}_{name}_steps_per_s"] = rate(optimizer.step, given.seconds, device)
    found["acprop_fused_over_adam_fused"] = found["acprop_fused_steps_per_s"] / found["adam_fused_steps_per_s"]
    return found


CHECKS: dict[str, Callable[[torch.device, argparse.Namespace], Found]] = {
    "runners": check_runners, "resume": check_resume, "waits": check_waits, "kernel": check_kernel,
    "figures": check_figures,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
