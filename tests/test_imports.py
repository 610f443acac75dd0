"""Who imports whom: no cycles, and what serves every task names none."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("acprop", "experiments", "hydra_plugins")
# A data set that is called as a task is; and, to be mended, how a claim names a pair of languages.
NAMED = {"acprop/report/style.py": ["imagenet"]}  # the data set
TASKS = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/__main__.py"))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imported(name: str, tree: ast.AST) -> set[str]:
    """Modules of the suite that a module imports, at its top or in a function; not those that only a type checker
    reads."""
    found = set()
    skipped = {
        id(inner)
        for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: names its modules in full"
            # `from package import module` imports the module, `from package import thing` the package
            found |= {
                inner if (inner := f"{node.module}.{alias.name}") in FILES else str(node.module) for alias in node.names
            }
    return {one for one in found if one in FILES} - {name}


def graph() -> dict[str, set[str]]:
    return {name: imported(name, ast.parse(path.read_text())) for name, path in FILES.items()}


def test_nothing_imports_itself_round_a_corner():
    found = graph()
    assert found["acprop.report.build"] > {"acprop.report.tasks", "acprop.runs.record"}, "it sees what there is"
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_imports_go_one_way():
    """conf -> experiments -> acprop: the optimizers know nothing else, the harness no report and no task."""
    for name, targets in graph().items():
        if name.startswith("acprop.optim"):
            assert all(one.startswith("acprop.optim") for one in targets), (name, targets)
        if name.startswith("acprop.runs"):
            assert all(one.startswith(("acprop.runs", "acprop.optim")) for one in targets), (name, targets)
        if name.startswith("acprop.report"):
            assert not any(one.startswith("experiments") for one in targets), (name, targets)


@pytest.mark.parametrize("folder", ["runs", "report"])
def test_what_serves_every_task_names_none(folder):
    told = {}
    for path in sorted((ROOT / "acprop" / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
            and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        words = {
            node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        }  # fmt: skip
        if named := sorted(words & {*TASKS, *(f"experiments.{task}" for task in TASKS)}):
            told[path.relative_to(ROOT).as_posix()] = named
    assert told == {path: named for path, named in NAMED.items() if path.startswith(f"acprop/{folder}/")}


def test_experiments_is_open_to_folders_of_ones_own():
    """A namespace has no __init__.py: else a task outside this repository is not found."""
    assert not (ROOT / "experiments" / "__init__.py").exists()
