"""Where the compiled kernel of `ACProp(fused=True)` on CPU comes from: the wheel, a cache, or the C++ compiler.

A library is named after the processor's instructions and what it is made of, so that one which does not belong to this
source is never found. setup.py runs this file too, to compile the libraries into the wheel: it needs no torch.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from ctypes import CDLL
from pathlib import Path

PACKAGE = Path(__file__).parent
SOURCE = PACKAGE / "fused.cpp"
FLAGS = ("-O3", "-fPIC", "-shared", "-std=c++17", "-fno-math-errno", "-fno-trapping-math")
AVX2 = ("-mavx2", "-mfma", "-mf16c")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512")
# by torch.backends.cpu.get_cpu_capability()
CAPABILITIES: dict[str, tuple[str, ...]] = {"DEFAULT": ()}
if platform.machine() in ("x86_64", "AMD64"):
    CAPABILITIES |= {"AVX2": AVX2, "AVX512": AVX512}


def load(capability: str) -> CDLL:
    """The kernel for this processor; compiled where neither the package nor the cache has it.

    A compiled library is kept in $XDG_CACHE_HOME/acprop (~/.cache/acprop); where that is not writable, full or mounted
    noexec, it is compiled for this process alone.

    Raises:
        RuntimeError: where there is none and none can be compiled; says why in one line.
    """
    capability = capability if capability in CAPABILITIES else "DEFAULT"
    for folder in (PACKAGE, *cache_folder()):
        try:
            return CDLL(str(folder / library_name(capability)))
        except OSError:
            continue  # absent, or not to be loaded from there
    reason = "no folder to compile it in"
    for where in (*cache_folder(), None):
        try:
            return _compile_and_load(capability, where)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = _first_line(error)
    raise RuntimeError(
        f"ACProp: fused=True found no compiled kernel and could not compile one ({reason}); install a C++ compiler "
        "(or name it in $CXX), or use fused=False"
    )


def cache_folder() -> Iterator[Path]:
    """One folder, or none where there is no home."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "acprop")
    if folder.is_absolute():
        yield folder


def library_name(capability: str) -> str:
    content = SOURCE.read_bytes() + " ".join((*FLAGS, *CAPABILITIES[capability])).encode()
    return f"fused-{capability.lower()}-{hashlib.sha256(content).hexdigest()[:12]}.so"


def compile_kernel(capability: str, folder: Path) -> Path:
    """Compiles the library of one instruction set into a folder; half a file is never seen under its name."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), "c++")
    path = folder / library_name(capability)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        part = Path(own, path.name)
        command = [*shlex.split(compiler), *FLAGS, *CAPABILITIES[capability], str(SOURCE), "-o", str(part)]
        subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        os.replace(part, path)
    return path


def _compile_and_load(capability: str, folder: Path | None) -> CDLL:
    if folder is not None:
        return CDLL(str(compile_kernel(capability, folder)))
    with tempfile.TemporaryDirectory() as own:  # what is loaded stays loaded without its file
        return CDLL(str(compile_kernel(capability, Path(own))))


def _first_line(error: OSError | subprocess.CalledProcessError) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return next((line.strip() for line in said.splitlines() if "error" in line.lower()), said.strip().splitlines()[0])
