"""Every launcher, with a real sweep: three runs, of which one's process is killed and one hits a bug."""

import os
import re
import time

import pytest
from hydra.core.utils import JobReturn, JobStatus

from acprop.runs import load_records
from acprop.runs.launch import CONF, Job
from hydra_plugins.acprop_launcher import SubmititLauncher
from scripts.make_jpegs import make
from tests.conftest import ROOT

SLURM = ROOT / "tests" / "launchers" / "slurm"
LAUNCHERS = sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))
KILLED, RAISES, FINE = (
    "tests.launchers.misbehave.killed",
    "tests.launchers.misbehave.raises",
    "experiments.images.schedules.step",
)
SWEEP = (
    "-m", "experiments.cifar", "-m", "model=vgg11", "scale=smoke", "tracking=none",
    f"schedule._target_={KILLED},{RAISES},{FINE}",
)  # fmt: skip


@pytest.fixture
def sweep(command, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{SLURM}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    (tmp_path / "slurm").mkdir()
    # relative, as the default is: workers must find it wherever they stand
    monkeypatch.setenv("ACPROP_RUNS", os.path.relpath(tmp_path / "runs", ROOT))
    return lambda *arguments, **environment: command(*SWEEP, *arguments, **environment)


def found():
    return {record.config["schedule"]["_target_"]: record for record in load_records("cifar")}


@pytest.mark.filterwarnings(r"ignore:\s*'hydra/launcher/\w+' is validated against")  # pytest forgets launch.py's own
def test_there_are_four_and_they_stand_before_the_plugins_own(configure):
    assert LAUNCHERS == ["joblib", "ray", "submitit_local", "submitit_slurm"]
    for launcher in LAUNCHERS:
        node = configure("cifar", f"hydra/launcher={launcher}").hydra.launcher
        assert node._target_.startswith("hydra_plugins.acprop_launcher.")


@pytest.mark.parametrize("cpus", [1, 2])
def test_no_more_jobs_at_a_time_than_there_are_cores_for(cpus, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(6))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # set again by the launcher, for its jobs
    launcher = SubmititLauncher(cpus_per_task=cpus)
    assert os.environ["OMP_NUM_THREADS"] == str(cpus)
    running, most = set(), []

    class Engine:
        def launch(self, jobs, number):
            running.add(number)
            most.append(len(running))
            time.sleep(0.02)
            running.remove(number)
            return [JobReturn(status=JobStatus.COMPLETED, _return_value=number)]

    launcher.engine, launcher.job = Engine(), Job("cifar", print)
    order = [result.return_value for result in launcher.launch([[f"seed={seed}"] for seed in range(20)], 5)]
    assert order == list(range(5, 25))
    assert max(most) == 6 // cpus


def misbehaves(sweep, launcher):
    """A sweep of which one run is killed and one fails: its records by schedule."""
    done = sweep(f"hydra/launcher={launcher}", ACPROP_MISBEHAVE="1")
    assert done.returncode == 1, done.stderr
    killed, raised = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"schedule._target_={KILLED}: " in killed
    assert re.search(r"TerminatedWorkerError|WorkerCrashedError|UncompletedJobError", killed)
    assert f"schedule._target_={RAISES}: RuntimeError: a bug" in raised
    assert "validated against" not in done.stderr
    return found()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "submitit_slurm"])  # submitit_local: tests/runs/test_stopping.py
def test_what_fails_is_named_and_the_rest_kept(launcher, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert {name: record.status for name, record in misbehaves(sweep, launcher).items()} == {
        KILLED: "running", RAISES: "failed", FINE: "done",
    }  # fmt: skip
    assert (tmp_path / "results" / "tables" / "fig6_digits_smoke.md").exists()


@pytest.mark.slow
def test_only_what_is_missing_runs_again(sweep, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = misbehaves(sweep, "joblib")
    done = sweep("hydra/launcher=joblib")
    assert done.returncode == 0, done.stderr
    after = found()
    assert {record.status for record in after.values()} == {"done"}
    assert after[FINE].summary == before[FINE].summary, "finished before, and not touched"


@pytest.mark.slow
def test_a_joblib_worker_starts_the_processes_that_read_images(command, tmp_path):
    make(tmp_path / "jpegs", 4, 2)
    done = command(
        "-m", "experiments.imagenet", "-m", "hydra/launcher=joblib", "dataset=image_folder", "scale=smoke", "seed=0",
        f"dataset.path='{tmp_path / 'jpegs'}'", "image_size=32", "resize=36", "epochs=1", "workers=1", "tracking=none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [record.status for record in load_records("imagenet")] == ["done"]


@pytest.mark.slow
def test_slurm_is_asked_for_what_the_config_says(sweep, tmp_path):
    resources = [f"hydra.launcher.{setting}" for setting in ("partition=gpu", "cpus_per_task=3", "timeout_min=90")]
    assert sweep("hydra/launcher=submitit_slurm", f"schedule._target_={FINE}", *resources).returncode == 0
    (script,) = (tmp_path / "slurm").glob("*.sh")
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script.read_text(), re.M))
    wanted = {"partition": "gpu", "cpus-per-task": "3", "time": "90", "gpus-per-node": "1", "mem": "32GB"}
    assert wanted.items() <= asked.items()
    assert asked["job-name"] == "acprop"


def test_a_wrong_setting_is_one_line(sweep):
    for setting in ("hydra.launcher.partitoin=gpu", "hydra.launcher.cpus_per_task=0", "hydra/launcher=slurm"):
        done = sweep("hydra/launcher=submitit_slurm", setting)
        assert done.returncode == 2, setting
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: ")
