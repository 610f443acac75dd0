"""What a sweep skips without composing it: exactly what has ended, of the same overrides and the same configs."""

from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus

from acprop.runs import runs_root
from acprop.runs.finished import Finished, Skipping, _digest
from acprop.runs.identity import resolved, run_dir
from tests.runs.test_runs import config, work

JOB = ["optimizer=adam", "seed=0"]


@pytest.fixture
def runtime(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.yaml").write_text("lr: 1\n")
    sources = [("pkg", "hydra.conf"), ("file", str(tmp_path / "conf")), ("structured", "")]
    yield SimpleNamespace(config_sources=[SimpleNamespace(schema=schema, path=path) for schema, path in sources])
    _digest.cache_clear()


def finished(runtime):
    return Finished("toy", runtime).read()


def leave(runtime, score=0.5):
    work(config())
    finished(runtime).add(JOB, resolved(config()), score)


def test_a_job_that_has_ended_is_found_with_its_score(runtime):
    assert finished(runtime).find(JOB) is None
    leave(runtime)
    assert finished(runtime).find(JOB) == (run_dir(config()).relative_to(runs_root()).as_posix(), 0.5)
    assert finished(runtime).find([*JOB, "force=true"]) is None
    assert finished(runtime).find(["optimizer=adam", "seed=1"]) is None
    assert Finished("other", runtime).read().find(JOB) is None


@pytest.mark.parametrize("score", [None, float("nan"), float("-inf")])
def test_one_that_diverged_has_none(score, runtime):
    leave(runtime, score)
    assert finished(runtime).find(JOB).score is None


@pytest.mark.parametrize(
    "content", ['{"status": "interrupted"}', '{"status": "failed"}', "{}", "[]", "half of a", None]
)
def test_only_its_record_says_that_it_has_ended(content, runtime):
    leave(runtime)
    path = run_dir(config()) / "run.json"
    path.unlink() if content is None else path.write_text(content)
    assert finished(runtime).find(JOB) is None


def test_a_config_that_changes_may_change_any_job(runtime, tmp_path):
    leave(runtime)
    (tmp_path / "conf" / "deep").mkdir()
    (tmp_path / "conf" / "deep" / "b.yaml").write_text("eps: 1\n")
    _digest.cache_clear()  # as in another process
    assert finished(runtime).find(JOB) is None


def test_a_line_that_is_cut_short_costs_itself_alone(runtime):
    leave(runtime)
    with finished(runtime).path.open("a") as file:
        file.write('["0123", "toy/d')
    assert finished(runtime).find(JOB)


def test_the_others_are_launched_and_results_keep_their_order(runtime, capsys):
    leave(runtime)
    launched = []

    def launch(jobs, initial_job_idx):
        launched.extend([*jobs, initial_job_idx])
        return [JobReturn(job, status=JobStatus.COMPLETED, _return_value=job[-1]) for job in jobs]

    skipping = Skipping(
        SimpleNamespace(launch=launch), SimpleNamespace(task="toy", hydra=SimpleNamespace(runtime=runtime))
    )
    jobs = [["seed=7"], JOB, ["seed=8"]]
    assert skipping.unfinished(jobs) == [["seed=7"], ["seed=8"]]
    results = skipping.launch(jobs, 3)
    assert [result.return_value for result in results] == ["seed=7", 0.5, "seed=8"]
    assert [result.overrides for result in results] == jobs
    assert launched == [["seed=7"], ["seed=8"], 3]
    assert "\n1 runs are finished already (force=true runs them again)\n" in capsys.readouterr().out
    skipping.launch([JOB], 0)
    assert len(launched) == 3, "nothing is left to launch"
