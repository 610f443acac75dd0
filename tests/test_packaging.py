"""What people install: built, looked into, and used beside torch and what torch needs, with nothing else in reach."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packaging")]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"


def build(kind, source, out):
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(kind=kind), str(out)], cwd=source, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is built of what the sdist holds."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(ROOT / "acprop", source / "acprop", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (source / "tests").mkdir()
    (source / "tests" / "test_something.py").touch()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    sdist = build("sdist", source, folder)
    subprocess.run(["tar", "-xf", sdist, "-C", folder], check=True)
    return sdist, build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


def test_the_wheel_holds_the_optimizers_and_their_kernels_alone(built):
    _, wheel = built
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    kernels = {name for name in ours if name.endswith(".so")}
    assert {re.sub("-[0-9a-f]{12}", "", name) for name in kernels} >= {"acprop/optim/fused-default.so"}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "acprop" / "optim").glob("*.*") if path.suffix != ".so"}
    assert ours - kernels == {"acprop/__init__.py", "acprop/py.typed", *sources}
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    assert not wheel.name.endswith("-any.whl")


def test_the_sdist_brings_sources_papers_and_no_tests(built):
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff"} <= names
    assert "acprop/optim/fused.cpp" in names
    assert not {name for name in names if name.startswith("tests")}


def test_both_pass_the_check_of_the_index(built):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_metadata_asks_for_torch_alone_and_no_old_python(built):
    _, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        metadata = archive.read(name).decode()
    assert re.findall("^Requires-Python: (.*)$", metadata, re.MULTILINE) == [">=3.11"]
    needed = [line for line in re.findall("^Requires-Dist: (.*)$", metadata, re.MULTILINE) if "extra ==" not in line]
    assert [re.split("[^a-z]", line)[0] for line in needed] == ["torch"]


def torch_and_its_own(into):
    """Links to torch's packages and those of what it requires."""
    waiting, seen = ["torch"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # for another platform
            continue
        waiting += [re.split("[^A-Za-z0-9._-]", line)[0] for line in found.requires or [] if "extra ==" not in line]
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}:
            link = into / top
            if not link.exists() and (target := Path(found.locate_file(top))).exists():
                link.symlink_to(target)


USE = """
import importlib.util
import os
import sys
import torch
from acprop import *
import acprop
assert not [name for name in ("numpy", "hydra", "wandb", "scipy", "pytest") if importlib.util.find_spec(name)]
for name in acprop.optim.__all__:
    cls = globals()[name]
    if not isinstance(cls, type):
        continue
    for options in [{}, {"fused": True}] if name == "ACProp" else [{}]:
        layer = torch.nn.Linear(4, 3)
        optimizer = cls(layer.parameters(), lr=0.1, **options)
        for _ in range(12):
            optimizer.zero_grad()
            layer(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
        assert all(p.isfinite().all() for p in layer.parameters())
# the kernel's threads are those of torch's own runtime
torch.set_num_threads(2)
p, grad, mean, variance = (torch.empty(100_000) for _ in range(4))
p.requires_grad_().grad = grad
optimizer = ACProp([p], fused=True)
optimizer.state[p].update(step=torch.tensor(0.0), exp_avg=mean, exp_avg_var=variance)
before = len(os.listdir("/proc/self/task"))
optimizer.step()
assert len(os.listdir("/proc/self/task")) == before + 1
print(sorted(module for module in sys.modules if module.startswith("acprop.")))
"""


def test_the_wheel_works_beside_torch_alone_without_a_compiler(built, tmp_path):
    _, wheel = built
    installed, beside = tmp_path / "installed", tmp_path / "beside"
    beside.mkdir()
    torch_and_its_own(beside)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", installed, wheel],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    variables = {"PYTHONPATH": f"{installed}{os.pathsep}{beside}", "CXX": "no-such-compiler", "XDG_CACHE_HOME": "/proc"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", USE], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "acprop.optim.fused" in done.stdout
