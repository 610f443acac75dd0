"""Every cell that conf/ can compose, without being named here: a new YAML file is tested by being there."""

import hydra
import pytest
import torch
import torchvision

from acprop.runs import Run
from acprop.runs.conf import roster
from acprop.runs.errors import UsageError
from acprop.runs.launch import CONF, build, explain


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


MODELS = [
    name for name in options("model") if "experiments.images.models." in (CONF / "model" / f"{name}.yaml").read_text()
]
TUNED = CONF / "cifar" / "tuned" / "cifar10"
CELLS = sorted(path.relative_to(TUNED) for path in TUNED.rglob("*.yaml"))


@pytest.mark.parametrize("name", options("optimizer"))
def test_every_optimizer_trains(name, configure):
    node = configure("cifar", f"optimizer={name}", "tuned=none").optimizer
    layer = torch.nn.Linear(4, 1)
    optimizer = hydra.utils.instantiate(node)(layer.parameters())
    x = torch.randn(64, 4)
    losses = []
    for _ in range(300):
        loss = (layer(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    explicit = {key for key in node if not key.startswith("_")}
    assert explicit <= optimizer.param_groups[0].keys()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: str(cell.with_suffix("")))
def test_every_published_cell_reaches_the_optimizer(cell, configure):
    text = (TUNED / cell).read_text()
    cfg = configure("cifar", f"model={cell.parent}", f"optimizer={cell.stem}", "scale=paper")
    import yaml

    assert yaml.safe_load(text)["tuned"]["source"]
    published = yaml.safe_load(text)["optimizer"]
    optimizer = hydra.utils.instantiate(cfg.optimizer)([torch.zeros(1, requires_grad=True)])
    for key, value in published.items():
        stored = optimizer.param_groups[0][key]
        assert (list(stored) if isinstance(stored, tuple) else stored) == value
    assert (cfg.epochs, cfg.batch_size, cfg.width, cfg.precision) == (200, 128, 1.0, "fp32")


@pytest.mark.parametrize("model", ["vgg11", "resnet34", "densenet121"])
def test_fig6_is_complete(model):
    assert {path.stem for path in (TUNED / model).glob("*.yaml")} >= set(roster("fig6"))


@pytest.mark.parametrize(
    ("model", "parameters"),
    [("vgg11", 9_750_922), ("resnet34", 21_282_122), ("densenet121", 6_956_298), ("wrn28_10", 36_479_194)],
)
def test_the_papers_networks_have_their_size(model, parameters, configure):
    cfg = configure("cifar", f"model={model}", "tuned=none", "scale=paper")
    with torch.device("meta"):
        net = build("model", cfg.model, num_classes=10, in_channels=3)
        assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_vgg11_with_batch_norm_has_the_layers_of_torchvisions(configure):
    cfg = configure("cifar", "model=vgg11_bn", "tuned=none", "scale=paper")
    with torch.device("meta"):
        net, theirs = build("model", cfg.model, num_classes=10, in_channels=3), torchvision.models.vgg11_bn().features
        own = list(net)[: len(theirs)]
    assert list(map(type, own)) == list(map(type, theirs))
    shapes = [[parameter.shape for layer in layers for parameter in layer.parameters()] for layers in (own, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("scale", options("scale"))
@pytest.mark.parametrize("model", MODELS)
def test_every_model_at_every_scale(model, scale, configure):
    cfg = configure("cifar", f"model={model}", f"scale={scale}", "tuned=none")
    with torch.device("meta"):
        assert build("model", cfg.model, num_classes=7, in_channels=1)(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", options("schedule"))
def test_every_schedule(name, configure):
    cfg = configure("cifar", f"schedule={name}", "scale=paper")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = build("schedule", cfg.schedule, optimizer, epochs=200)
    rates = []
    for _ in range(200):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = {"step": [1.0] * 150 + [0.1] * 50, "constant": [1.0] * 200}
    if name in expected:
        assert rates == pytest.approx(expected[name])
    else:
        assert rates[0] == 1.0
        assert rates[-1] < 0.011


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer=acprob", ["optimizer=acprob", "did you mean acprop?", "adabelief"]),
        ("dataset=mnist", ["dataset=mnist", "fashion_mnist", "digits"]),
        ("epoch=3", ["epoch: there is no such setting", "did you mean epochs?"]),
        ("optimizer.beta=3", ["optimizer.beta: there is no such setting", "betas"]),
        ("optimizer=rmsprop", ["no settings under cifar10 for model=resnet34", "vgg11/acprop", "tuned=none"]),
    ],
)
def test_a_wrong_word_is_one_line_that_lists_what_exists(override, words, configure):
    with pytest.raises(Exception) as error:  # noqa: PT011 - Hydra's families differ, the line is what counts
        Run.open(configure("cifar", override))
    line = explain(error.value, "cifar")
    assert "\n" not in line
    for word in words:
        assert word in line


def test_what_an_optimizer_refuses_is_one_line(configure):
    cfg = configure("cifar", "optimizer.betas=[0,0.9]")
    with pytest.raises(UsageError, match="optimizer: ACProp: betas"):
        build("optimizer", cfg.optimizer, [torch.zeros(1, requires_grad=True)])


def test_help_shows_the_groups_without_loading_torch(command):
    done = command("-X", "importtime", "-m", "experiments.cifar", "--help")
    assert done.returncode == 0
    for words in ("optimizer: acprop", "densenet121", "cifar10", "schedule:", "scale:", "tracking:"):
        assert words.replace("acprop", "") in done.stdout, done.stdout
    assert "epochs:" in done.stdout
    assert " torch\n" not in done.stderr
