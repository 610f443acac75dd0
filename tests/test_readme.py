"""README's commands work when pasted."""

import re
import subprocess

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_is_short():
    assert len(README.splitlines()) < 200


def test_the_python_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    scope: dict = {}
    exec(example, scope)
    assert scope["optimizer"].state_dict()["state"]


def test_what_it_links_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_its_commands_compose(command):
    """Every `python -m experiments...` line, composed as pasted but not run."""
    lines = [line for line in re.findall(r"^python -m (experiments\.\S+.*)$", README, re.M) if "--help" not in line]
    assert lines
    for line in lines:
        words = [
            word for word in line.split() if word != "-m" and "nadam" not in word and not word.startswith("hydra/")
        ]
        words = [word.split(",")[0] for word in words]
        done = command("-m", *words, "--cfg", "job")
        assert done.returncode == 0, (line, done.stderr)


def test_its_make_targets_exist():
    targets = set(re.findall(r"^make ([a-z0-9_-]+(?: NAME=\w+)?)", README, re.M))
    assert len(targets) > 8
    for target in sorted(targets):
        done = subprocess.run(["make", "-n", *target.split()], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (target, done.stderr)


def test_it_shows_the_committed_ledgers_summary():
    summary, _, _ = (ROOT / "results" / "claims.md").read_text().partition("\n\n## ")
    assert "| Fig 9" in summary
    assert summary in README


def test_every_script_runs_from_anywhere(command, tmp_path):
    """Each in a process of its own, in which torch and torchvision are loaded."""
    code = """
import os, runpy, sys, traceback, torch, torchvision
os.chdir(sys.argv[1])
for script in sys.argv[2:]:
    if os.fork() == 0:
        sys.argv, sys.path[0] = [script, "--help"], os.path.dirname(script)
        code = 1
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)  # not by way of a clean-up that would copy all that torch is
    if os.wait()[1]:
        sys.exit(script)
"""
    scripts = sorted(map(str, (ROOT / "scripts").glob("*.py")))
    done = command("-c", code, str(tmp_path), *scripts)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(scripts)
