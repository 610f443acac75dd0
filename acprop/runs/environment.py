"""Where a run happened: code, versions, hardware. Enough to explain a number, nothing that identifies a person."""

import fcntl
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acprop.runs import distributed
from acprop.runs.errors import require, require_one_of

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
PACKAGES = (
    "acprop", "torch", "torchvision", "numpy", "hydra-core", "wandb", "stable_baselines3", "gymnasium", "ve-fairseq",
    "sacrebleu",
)  # fmt: skip


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU if there is one."""
    require_one_of("device", name, ("auto", "cpu", "cuda"))
    require(name != "cuda" or torch.cuda.is_available(), "device", name, "torch sees no GPU here; use device=cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if not distributed.launched():
        return torch.device("cuda", _own_gpu())
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # one GPU a process
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


@cache
def _own_gpu() -> int:
    """A GPU that no other process of this user has taken here, so that a sweep's workers get one each; where all are
    taken, the first, shared."""
    for number in range(torch.cuda.device_count()):
        chip = torch.cuda.get_device_properties(number).uuid
        path = os.path.join(tempfile.gettempdir(), f"acprop-{os.getuid()}-gpu-{chip}")
        lock = os.open(path, os.O_CREAT | os.O_WRONLY)  # never closed: held as long as the process lives
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        torch.cuda.set_device(number)
        return number
    return 0


def visible_to_child(device: torch.device) -> dict[str, str]:
    """The environment in which a child process sees this GPU alone."""
    if device.type != "cuda":
        return {}
    names, number = os.environ.get("CUDA_VISIBLE_DEVICES"), device.index or 0
    return {"CUDA_VISIBLE_DEVICES": names.split(",")[number] if names else str(number)}


def require_precision(name: str, device: torch.device) -> None:
    require_one_of("precision", name, PRECISIONS)
    require(name != "tf32" or device.type == "cuda", "precision", name, "on a GPU alone; a CPU computes fp32")


def available_cores() -> int:
    """Cores of this process: what a launcher or the user gave it in OMP_NUM_THREADS, else all that it may run on."""
    if given := os.environ.get("OMP_NUM_THREADS"):
        return int(given)
    return _cores_of_this_machine()


def _cores_of_this_machine() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_of_this_process() -> int:
    """Its share, where torchrun started several on this machine. (torchrun then also sets OMP_NUM_THREADS, to 1.)"""
    if distributed.launched():
        return max(1, _cores_of_this_machine() // int(os.environ["LOCAL_WORLD_SIZE"]))
    return available_cores()


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def set_arithmetic(device: torch.device, precision: str, deterministic: bool) -> None:
    """How a GPU computes in this process. torch lets cuDNN's convolutions use TF32, 10 bits of a mantissa for 23,
    unless told otherwise; here they do so with precision=tf32 alone, matrix products likewise. Speed is the default:
    cuDNN tries its algorithms and takes the fastest. With `deterministic` all that torch can do in one order is done
    so; what has no such form is told in a warning. A CPU computes as it always does."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a process first multiplies
    in_one_order = deterministic and device.type == "cuda"
    if in_one_order != torch.are_deterministic_algorithms_enabled():  # to ask, even for what is, loads torch's compiler
        torch.use_deterministic_algorithms(in_one_order, warn_only=True)


@cache
def commit() -> str | None:
    """The commit this code is at, with `+` if the working tree differs from it; None outside a git checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def describe(device: torch.device, precision: str) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "commit": commit(),
        "versions": versions,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "precision": precision,
        **(_gpu_arithmetic() if device.type == "cuda" else {}),
    }


def _gpu_arithmetic() -> dict[str, bool]:
    """As torch has it, whoever set it."""
    return {
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_convolution": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def peak_memory_mib(device: torch.device) -> float | None:
    """Peak memory so far: on the GPU, of this process, or None if another one trains there; else resident, of this
    process or the largest that it started and that ended."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1) or None
    # KiB on Linux, bytes on macOS
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
