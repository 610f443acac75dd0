"""README's commands work when pasted."""

import re
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_every_script_runs_from_anywhere(script, tmp_path):
    done = subprocess.run([sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
