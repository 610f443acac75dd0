"""A run's folder: whose it is, and that nothing old goes before the new is whole."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from acprop.runs import Diverged, Run, UsageError, load_records
from acprop.runs.folder import RunFolder
from acprop.runs.identity import run_dir
from tests.conftest import ROOT
from tests.runs.test_runs import config, work

FORCED = config(force=True)


def hidden(tmp_path):
    """What lies in the runs folder that no report sees."""
    return list((tmp_path / "runs").rglob(".*"))


def summary():
    (record,) = load_records("toy")
    return record.summary


def force(error=None):
    with Run.open(FORCED) as run:
        run.log("test", score=7)
        if error:
            raise error


@pytest.mark.parametrize("error", [UsageError("the data has moved"), RuntimeError("a bug"), KeyboardInterrupt()])
def test_force_keeps_a_finished_record_until_the_new_one_is_whole(error, tmp_path):
    work(config())
    before = summary()
    with pytest.raises(type(error)):
        force(error)
    assert summary() == before
    assert not hidden(tmp_path)
    force()
    assert summary()["final"] == {"test/score": 7}
    assert not hidden(tmp_path)


def test_a_forced_run_that_diverges_is_a_result_and_takes_the_place(tmp_path):
    work(config())
    force(Diverged("loss is nan"))
    assert summary()["status"] == "diverged"
    assert not hidden(tmp_path)


def test_force_replaces_what_never_finished_by_its_own_attempt():
    with pytest.raises(RuntimeError):
        work(config(), (1, 0), RuntimeError)
    with pytest.raises(KeyboardInterrupt):
        force(KeyboardInterrupt())
    assert (summary()["status"], summary()["attempts"]) == ("interrupted", 1)


@pytest.mark.parametrize("new_in_place", [False, True])
def test_a_kill_between_the_two_renames_loses_nothing(new_in_place):
    work(config())
    final = run_dir(config())
    old = final.with_name(f".{final.name}.old")
    final.rename(old)
    if new_in_place:
        final.mkdir()
        (final / "run.json").write_text(json.dumps({"status": "done", "new": True}))
    folder = RunFolder(final, again=False)
    assert folder.previous["status"] == "done"
    assert folder.previous.get("new", False) == new_in_place
    assert not old.exists()
    folder.release()


def test_folders_that_come_and_go_in_many_threads_and_processes_lose_none():
    """Every process makes its run and leaves no trace, in one cell: they make and remove the same parents."""
    code = """
import sys
from acprop.runs.folder import RunFolder
from acprop.runs.identity import runs_root
for number in range(150):
    folder = RunFolder(runs_root() / "toy" / "d-m" / "o-0" / f"seed={sys.argv[1]}{number}", again=False)
    folder.leave_no_trace()
    folder.release()
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], cwd=ROOT, stderr=subprocess.PIPE) for n in range(4)
    ]
    failed = [error for process in processes if (error := process.communicate(timeout=100)[1])]
    assert not failed, failed[0].decode()
    assert not os.path.exists(os.environ["ACPROP_RUNS"])


def test_of_many_who_want_one_folder_one_has_it_at_a_time():
    final = run_dir(config())
    inside, most, refused = [], [], []

    def want():
        for _ in range(100):
            try:
                folder = RunFolder(final, again=False)
            except UsageError:
                refused.append(1)
                continue
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            folder.release()

    threads = [threading.Thread(target=want) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert set(most) == {1}


def test_a_forced_run_that_is_killed_leaves_nothing_after_the_next(tmp_path):
    work(config())
    code = "import os, signal; from tests.runs.test_folder import FORCED; from acprop.runs import Run; "
    code += "Run.open(FORCED).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    assert hidden(tmp_path)
    assert work(config()) is None
    assert not hidden(tmp_path)


def test_what_a_kill_cut_short_goes_with_the_next_attempt(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        work(config(), (1, 0))
    (run_dir(config()) / ".checkpoint.pt.abcdefgh").write_bytes(b"half")
    work(config())
    assert not hidden(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04half", b"garbage"])
def test_a_damaged_checkpoint_is_one_line_and_stays(content):
    with pytest.raises(KeyboardInterrupt):
        work(config(), (1, 0))
    path = run_dir(config()) / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"checkpoint\.pt: damaged .*force=true"):
        work(config())
    assert path.read_bytes() == content
    assert work(FORCED) is not None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_summary_is_one_line(content):
    work(config())
    (run_dir(config()) / "run.json").write_text(content)
    with pytest.raises(UsageError, match=r"run\.json: damaged .*force=true"):
        work(config())
    assert work(FORCED) is not None


def test_a_checkpoint_with_a_stranger_in_it_is_refused():
    with pytest.raises(KeyboardInterrupt):
        work(config(), (1, 0))
    torch.save(subprocess.Popen, run_dir(config()) / "checkpoint.pt")
    with pytest.raises(UsageError, match="damaged"):
        work(config())


@pytest.mark.slow
def test_a_full_disk_and_a_folder_that_cannot_be_written_are_one_line_each(command, tmp_path):
    (tmp_path / "file").write_text("")
    cell = ("-m", "experiments.theory", "study=fig4", "tracking=none")
    # a limit on the size of files is what a full disk is to a process: a write that the system refuses
    limit = "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
    limit += "runpy.run_module('experiments.theory', run_name='__main__', alter_sys=True)"
    for size, where in ((200, "config.yaml"), (0, "TMPDIR")):
        done = command("-c", limit.format(size), *cell[2:], PYTHONDONTWRITEBYTECODE="1")
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: ")
        assert where in done.stderr
        assert "make room" in done.stderr
    done = command(*cell, ACPROP_RUNS=str(tmp_path / "file" / "runs"))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_the_signal_of_a_kill_leaves_a_lock_that_binds_nobody():
    code = "import os, signal; from tests.runs.test_runs import config; from acprop.runs import Run; "
    code += "Run.open(config()).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    assert summary()["status"] == "running"
    work(config())
    assert (summary()["status"], summary()["attempts"]) == ("done", 2)
