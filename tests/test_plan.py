"""The plan's arithmetic, and that docs/scale.md shows what the script prints."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

from acprop.runs import Run, environment
from acprop.runs.conf import roster
from scripts import plan
from tests.conftest import ROOT

UTILISATION = {"cnn": 0.1, "imagenet": 0.25, "gan": 0.08, "translation": 0.12}


def group(runs=6, flops=3.6e18, family="cnn", **changes):
    settings = {
        "name": "a", "family": family, "cell": ("cifar", "a"), "runs": runs, "epochs": 200, "samples": 10,
        "flops": flops, "tested": 0.0, "bytes": 5e8,
    }  # fmt: skip
    return plan.Group(**{**settings, **changes})


def numbers(line):
    return [float(cell.replace(",", "").strip() or "nan") for cell in line.strip("|* ").split("|")[1:]]


def test_operations_of_vgg11_are_those_of_a_hand_count():
    # (channels in, channels out, side of the image) of its 3x3 convolutions, then its three linear layers
    convolutions = [
        (3, 64, 32), (64, 128, 16), (128, 256, 8), (256, 256, 8), (256, 512, 4), (512, 512, 4), (512, 512, 2),
        (512, 512, 2),
    ]  # fmt: skip
    each = [2 * 9 * a * b * side**2 for a, b, side in convolutions] + [2 * 512 * n for n in (512, 512, 10)]
    _, both, forward = plan.cifar_net("vgg11", 10)
    assert forward == sum(each)
    assert both == 3 * sum(each) - each[0], "backward: by weights and by inputs, but not by the image"


def test_a_run_costs_its_operations_over_what_the_gpu_does_of_them():
    one = group(flops=2e18, tested=1.6e18)
    assert plan.Hardware(100, UTILISATION, {}).hours(one) == pytest.approx(3.6e18 / 1e13 / 3600) == pytest.approx(100)
    assert plan.Hardware(200, UTILISATION, {}).hours(one) == pytest.approx(50)
    assert plan.Hardware(100, {**UTILISATION, "cnn": 0.2}, {}).hours(one) == pytest.approx(50)


def test_a_run_of_the_paper_on_that_gpu_says_how_long_an_epoch_takes(configure, monkeypatch):
    describe = environment.describe
    monkeypatch.setattr(environment, "describe", lambda *how: {**describe(*how), "device": "NVIDIA A100-SXM4-80GB"})
    monkeypatch.setattr(Run, "wall_s", lambda run: 100.0)

    def two_epochs():
        with Run.open(configure("cifar", "model=vgg11", "dataset=cifar10", "scale=paper", "tracking=none")) as run:
            run.register()
            for epoch in run.epochs(200):
                if epoch == 2:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        two_epochs()
    assert plan.measured("a100") == {("cifar", "vgg11"): 50.0}
    assert plan.measured("H100") == {}
    hardware = plan.Hardware(100, UTILISATION, plan.measured("A100"))
    assert hardware.hours(plan.cifar("Fig 6", "vgg11", 1, ["adam"])) == pytest.approx(200 * 50 / 3600)


def test_wall_time_is_bounded_by_work_and_by_the_longest_run():
    parts = [(8, 1.0), (1, 4.0)]
    assert [plan.wall_hours(parts, gpus) for gpus in (1, 2, 3, 64)] == [12.0, 6.0, 4.0, 4.0]


def test_the_last_row_is_the_sum_of_the_others():
    rows = [group(), group(runs=3, flops=7.2e18, family="gan"), group(runs=2, flops=1e18, family="imagenet")]
    lines = plan.table(rows, plan.Hardware(100, UTILISATION, {})).splitlines()[2:]
    *each, total = map(numbers, lines)
    for column in (0, 3, 5, 8):  # runs, EFLOP, hours on one GPU, GB
        assert total[column] == pytest.approx(sum(row[column] for row in each), rel=1e-3)
    assert total[4] == max(row[4] for row in each)
    assert total[6] == pytest.approx(max(total[5] / 8, total[4]), rel=1e-3)


def test_runs_are_those_of_the_configs():
    grids = plan.sweep("cifar10", "grids")
    assert [one.runs for one in grids] == [5 + 6 * 4 * 6] * 3
    assert {one.samples for one in grids} == {200 * 45_000}, "a tenth is held out"
    assert [one.runs for one in plan.sweep("fig7", "Fig 7")] == [3 * 4 * 6 * 2]
    assert [one.runs for one in plan.sweep("fig5cd", "Fig 5c, d")] == [6 * 5] * 3
    assert plan.imagenet(seeds=2).runs == 14


def test_a_checkpoint_has_the_size_of_the_file(tmp_path):
    with FakeTensorMode():
        fake = torch.nn.Linear(1000, 50)
    for name in roster("fig6"):
        net = torch.nn.Linear(1000, 50)
        node = plan.config("cifar", f"optimizer={name}").optimizer
        optimizer = plan.build("optimizer", node, net.parameters())
        net(torch.randn(2, 1000)).sum().backward()
        optimizer.step()
        torch.save([net.state_dict(), optimizer.state_dict()], tmp_path / "checkpoint.pt")
        assert plan.size_in_bytes([fake], [name]) == pytest.approx(
            (tmp_path / "checkpoint.pt").stat().st_size, rel=0.03
        )


def test_an_unknown_family_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        plan.main(["--utilisation", "cmn=0.1"])
    assert stop.value.code == 2
    assert "FAMILY is one of cnn, imagenet, gan, translation" in capsys.readouterr().err


@pytest.mark.slow
def test_the_docs_show_what_the_script_prints(command):
    done = command("scripts/plan.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in (ROOT / "docs" / "scale.md").read_text()
