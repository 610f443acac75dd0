"""FSDP2, tensor parallelism, plain tensors beside shards, ZeRO, DDP: the steps are those of one process."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.optim.sharded import CASES, WAYS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sharded")]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "--log-dir", str(tmp_path_factory.mktemp("logs")), "-m", "tests.optim.sharded",
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("options", [pytest.param(case, id=f"{case[0]}-{'-'.join(case[1])}") for case in CASES])
@pytest.mark.parametrize("way", WAYS)
def test_steps_are_those_of_one_process(way, options, results):
    if (way, options[0]) == ("zero", "AvaGrad"):
        assert "AvaGrad: not in ZeroRedundancyOptimizer" in results["refused"]["zero AvaGrad"]
        return
    found = results["found"][f"{way} {options[0]} {json.dumps(options[1])}"]
    assert found["moved"] > 1e-3
    assert found["gap"] <= 1e-14


def test_state_is_sharded(results):
    """Rows are odd in number, so that process 0 has more than half."""
    shares = [found["share"] for found in results["found"].values() if "share" in found]
    assert len(shares) == len(CASES)
    assert max(shares) < 0.67


@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize("name", ["AvaGrad", "AdaShift"])
def test_what_needs_whole_tensors_refuses_flattened_ones(name, original, results):
    assert f"{name}: not with FullyShardedDataParallel" in results["refused"][f"fsdp1 {name} {original}"]
