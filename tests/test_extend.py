"""What a user adds, in a folder of their own and without touching this repository: a data set, a model, an optimizer, a
task with a table. Each is started by its command line and appears in tables and page under its own name."""

import os
import textwrap

import pytest
import torch

from acprop.report import results_root
from acprop.runs import load_records
from tests.conftest import ROOT

CONF = {
    "dataset/stripes.yaml": "_target_: mine.data.stripes\n",
    "model/pooled.yaml": "_target_: mine.model.pooled\n",
    "optimizer/signum.yaml": "_target_: mine.optimizer.Signum\n_partial_: true\nlr: 1.0e-2\nmomentum: 0.9\n",
    "walk.yaml": """
        defaults: [base, {optimizer: acprop}, {tracking: none}, _self_, {override hydra/job_logging: stdout},
                   {override hydra/hydra_logging: none}]
        task: walk
        names: {dataset: line, model: walker}
        scale: {name: paper, steps: 3}
        steps: ${scale.steps}
    """,
}
CODE = {
    "mine/data.py": """
        import torch
        from experiments.images.data import ImageData

        def stripes():
            \"\"\"Sparse against dense ones.\"\"\"
            images = torch.zeros(80, 1, 32, 32, dtype=torch.uint8)
            images[::2, :, ::8], images[1::2, :, ::2] = 255, 255
            labels = torch.arange(80) % 2
            return ImageData(images[:60], labels[:60], images[60:], labels[60:], mean=(0.25,), std=(0.43,),
                             num_classes=2, flip=False)
    """,
    "mine/model.py": """
        from torch import nn

        def pooled(num_classes, in_channels):
            return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64 * in_channels, num_classes))
    """,
    "mine/optimizer.py": """
        import torch

        class Signum(torch.optim.Optimizer):
            def __init__(self, params, lr, momentum):
                super().__init__(params, {"lr": lr, "momentum": momentum})

            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            buffer = self.state[p].setdefault("buffer", torch.zeros_like(p))
                            buffer.lerp_(p.grad, 1 - group["momentum"])
                            p.sub_(buffer.sign(), alpha=group["lr"])
    """,
    "experiments/walk/__main__.py": """
        from acprop.report.refresh import refresh
        from acprop.runs import Run
        from acprop.runs.launch import build, launch

        def run(cfg):
            import torch

            with Run.open(cfg) as run:
                if run.finished:
                    return
                x = torch.tensor([4.0], requires_grad=True)
                optimizer = build("optimizer", cfg.optimizer, [x])
                run.register(optimizer=optimizer, x=x.data)
                for step in run.batches(range(run.batch, cfg.steps)):
                    optimizer.zero_grad()
                    x.square().sum().backward()
                    optimizer.step()
                run.log("end", distance=x.item())

        if __name__ == "__main__":
            launch("walk", run, refresh)
    """,
    "experiments/walk/report.py": """
        from acprop.report.artefacts import OTHER, table
        from acprop.report.cells import Measure, wide
        from acprop.report.records import by_budget, by_cell, file_name, labels_of, models_of

        DISTANCE = Measure("distance", "distance", lambda record: record.summary["final"].get("end/distance"), False)

        def artefacts(records):
            for (dataset, scale), group in by_budget(records).items():
                cells = by_cell(group)
                rows = wide(cells, models_of(cells), labels_of(cells), [DISTANCE], {})
                yield table(file_name("walk", dataset, scale), OTHER, "How far it walked.", group, *rows)
    """,
}


@pytest.fixture
def start(command, tmp_path):
    """start("cifar", ...) -> a finished process of the command line, with the user's folder on its paths."""
    for files, root in ((CONF, tmp_path / "conf"), (CODE, tmp_path)):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(textwrap.dedent(text))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])

    def run(module, *words):
        done = command("-m", module, *words, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        return done

    def task(name, *words):
        return run(f"experiments.{name}", "--config-dir", str(tmp_path / "conf"), *words)

    def report():
        run("acprop.report")
        return (results_root() / "report.html").read_text()

    return task, report


def table(name):
    return (results_root() / "tables" / f"{name}.md").read_text()


@pytest.mark.slow
def test_a_data_set_a_model_and_an_optimizer_of_ones_own(start):
    task, report = start
    task("cifar", "dataset=stripes", "model=pooled", "optimizer=signum", "scale=smoke", "epochs=4", "tuned=none")
    (record,) = load_records("cifar")
    assert record.folder.startswith("cifar/stripes-pooled/signum-")
    assert record.summary["final"]["test/top1"] == 100.0
    state = torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]["optimizer"]["state"]
    assert state
    assert all("buffer" in one for one in state.values())
    text = table("fig6_stripes_smoke-epochs=4")
    assert "| optimizer | pooled last | pooled best |" in text
    assert "| signum | 100.00 (1) | 100.00 (1) |" in text
    page = report()
    for words in (record.folder.rpartition("/")[0], ">signum<", "pooled last"):
        assert words in page


@pytest.mark.slow
def test_a_whole_task_of_ones_own(start):
    task, report = start
    task("walk", "-m", "optimizer=acprop,signum", "seed=0,1")
    assert len(list(load_records("walk"))) == 4
    assert "| optimizer | walker distance |" in table("walk_line")
    assert "| signum | 3.97, 3.97 (2) |" in table("walk_line")
    page = report()
    assert "How far it walked." in page
    assert "walk/line-walker/signum-" in page


def test_a_task_without_a_report_of_its_own_gets_a_table(start, tmp_path):
    task, _ = start
    (tmp_path / "experiments" / "walk" / "report.py").unlink()
    task("walk", "optimizer=signum")
    assert "| walker | signum | 3.9700 (1) |" in table("walk_line")
