"""What a user sees of the package: names, types, groups, errors."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import acprop
from acprop import ACProp, create_optimizer, param_groups_weight_decay
from tests.conftest import ROOT
from tests.optim.cases import OPTIMIZERS


def test_star_gives_the_classes_and_dir_lists_them():
    names: dict = {}
    exec("from acprop import *", names)
    for cls in OPTIMIZERS:
        assert names[cls.__name__] is cls
        assert cls.__name__ in dir(acprop)
    assert "__version__" in dir(acprop)
    with pytest.raises(AttributeError, match="no attribute 'Acprop'"):
        acprop.Acprop  # noqa: B018


def test_types_reach_the_user(tmp_path):
    """As an installed package shows them: a wrong type is an error to mypy, under --strict too."""
    assert (ROOT / "acprop" / "py.typed").exists()
    user = tmp_path / "user.py"
    user.write_text(
        "import torch\n"
        "from acprop import ACProp, AdaShift, LaProp, create_optimizer\n"
        "params = [torch.zeros(1, requires_grad=True)]\n"
        "ACProp(params, lr=torch.tensor(0.1), betas=(0.9, 0.99), variant='paper', clip_update=1.0).step()\n"
        "create_optimizer('acprop', params, lr=0.1).zero_grad()\n"
        "ACProp(params, lr='x')\n"
        "ACProp(params, variant='optax')\n"
        "AdaShift(params, reduce='mean')\n"
        "LaProp(params, kahan_sum=3.5)\n"
        "LaProp(params, nesterov=True)\n"
    )
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}",
            "--follow-imports=silent", str(user),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    lines = sorted({int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line})
    assert lines == [6, 7, 8, 9, 10], done.stdout


def test_biases_and_norms_go_without_decay():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2), nn.Embedding(3, 2))
    net[3].weight.requires_grad_(False)
    net.twin = net[0]  # shared: taken once
    groups = param_groups_weight_decay(net, 0.1, no_weight_decay=["4.weight"])
    names = [[name for name, _ in group["params"]] for group in groups]
    assert names == [["0.weight"], ["0.bias", "1.weight", "1.bias", "3.bias", "4.weight"]]
    optimizer = ACProp(groups, lr=0.1, decoupled_weight_decay=True)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert [len(param_groups_weight_decay(nn.BatchNorm1d(2), 0.1)), optimizer.param_groups[0]["param_names"]] == [
        1, ["0.weight"],
    ]  # fmt: skip


def test_an_optimizer_by_its_name():
    params = [torch.zeros(1, requires_grad=True)]
    for cls in OPTIMIZERS:
        assert type(create_optimizer(cls.__name__, params, lr=0.5)) is cls
        assert create_optimizer(cls.__name__.lower(), params, lr=0.5).defaults["lr"] == 0.5
    with pytest.raises(ValueError, match="name='adam' is not possible, it must be one of acprop, adabelief"):
        create_optimizer("adam", params)


WRONG = [
    ({"betas": (0.0, 0.9)}, r"beta1 > 0 .*steps explode"),
    ({"variant": "optax"}, "variant='optax'"),
    ({"variant": "rectified", "amsgrad": True}, "amsgrad=True .* variant='rectified'"),
    ({"clip_update": -1}, "clip_update=-1"),
    ({"lr": -1.0}, "lr=-1.0"),
    ({"lr": torch.ones(2)}, "Tensor lr must be 1-element"),
    ({"betas": (torch.tensor(0.9), torch.ones(2))}, "betas="),
    ({"foreach": True, "differentiable": True}, "foreach=True"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_a_group_is_refused_as_the_constructor_refuses_it(options, words):
    params = [torch.zeros(1, requires_grad=True)]
    with pytest.raises(ValueError, match=words):
        ACProp(params, **options)
    with pytest.raises(ValueError, match=words):
        ACProp([{"params": params, **options}])
    optimizer = ACProp(params)
    with pytest.raises(ValueError, match=words):
        optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], **options})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_group_of_each_optimizer_is_checked(cls):
    optimizer = cls([torch.zeros(1, requires_grad=True)])
    own = {k: v for k, v in {"keep_num": 0, "clip_power": -1, "variant": "optax"}.items() if k in optimizer.defaults}
    for key, value in {**own, "eps": -1, "weight_decay": -1, "decoupled_weight_decay": "yes"}.items():
        with pytest.raises(ValueError, match=f"{cls.__name__}: {key}="):
            optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], key: value})


def test_one_element_tensors_as_betas_are_numbers():
    p, q = (torch.ones(2, requires_grad=True) for _ in range(2))
    ours = ACProp([{"params": [p], "betas": (torch.tensor(0.8), torch.tensor([0.9]))}])
    assert ours.param_groups[0]["betas"] == (pytest.approx(0.8), pytest.approx(0.9))
    theirs = ACProp([q], betas=ours.param_groups[0]["betas"])
    for _ in range(3):
        for x, optimizer in ((p, ours), (q, theirs)):
            x.grad = x.detach().clone()
            optimizer.step()
    assert torch.equal(p, q)


@pytest.mark.parametrize("options", [{}, {"foreach": False}, {"capturable": True}])
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_one_element_tensor_as_lr_is_a_number(cls, options):
    def trained(lr):
        params = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in ((), (1,), (2, 3))]
        optimizer = cls(params, lr=lr, **options)
        for _ in range(12):  # AdaShift steps after ten
            for p in params:
                p.grad = p.detach().clone()
            optimizer.step()
        return params

    expected = trained(0.01)
    assert not torch.equal(expected[2], torch.ones(2, 3))
    for lr in (torch.tensor(0.01, dtype=torch.float64), torch.tensor([0.01], dtype=torch.float64)):
        for p, q in zip(trained(lr), expected, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-12, atol=0)
