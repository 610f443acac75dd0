"""What an optimizer costs a training, as scripts/bench_cost.py measures it."""

import pytest

from scripts import bench_cost


@pytest.mark.parametrize("net", ["dqn", "vgg11"])
def test_every_optimizer_takes_turns_on_a_net_of_its_own(net, monkeypatch, capsys):
    monkeypatch.setattr(bench_cost, "OPTIMIZERS", ["acprop", "adam", "adashift", "sgd"])
    found = bench_cost.measure(net, 0.01)
    state = {name: round(size) for name, size in found["state"].items()}
    assert state == {"acprop": 8, "adam": 8, "adashift": 44, "sgd": 0}, "two moments, its ring and one, none"
    assert {len(found[kind][name]) for kind in ("wall", "cpu", "share") for name in state} == {
        len(found["wall"]["sgd"])
    }
    for name in ("acprop", "adam", "adashift"):
        assert all(0 < share < 1 for share in found["share"][name])
        assert found["temporaries"][name] > 0
    bench_cost.report(net, [found])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("| adam |")
    assert "| 1 | 1 |" in lines[-3]
