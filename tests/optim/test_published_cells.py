"""The published cells of conf/tuned do what the authors ran, and say of every decay of which kind it is."""

import hydra
import numpy as np
import pytest
import torch
import yaml

from acprop.runs.launch import CONF
from tests.reference.published import RAN

STEPS = 400


def settings(cell):
    return yaml.safe_load((CONF / cell).read_text())["optimizer"]


def class_of(path):
    return hydra.utils.get_class(yaml.safe_load(path.read_text())["_target_"])


def choices(cls):
    """The options of a class; torch's AdamW keeps one of Adam's that cannot be given."""
    given = cls([torch.zeros(1, requires_grad=True)]).defaults
    return given.keys() - ({"decoupled_weight_decay"} if cls is torch.optim.AdamW else set())


TUNED = sorted(path.relative_to(CONF) for path in CONF.glob("*/tuned/*/*/*.yaml"))
DECAYED = [cell for cell in TUNED if settings(cell).get("weight_decay")]


@pytest.mark.parametrize("model", ["vgg11", "resnet34", "densenet121"])
@pytest.mark.parametrize("name", RAN)
def test_the_cell_steps_as_the_authors_did(name, model, configure):
    cfg = configure("cifar", f"model={model}", f"optimizer={name}", "scale=paper")
    random = np.random.default_rng(0)
    start = random.normal(size=(3, 5))
    grads = [random.normal(size=start.shape) * 10.0 ** random.integers(-4, 1) for _ in range(STEPS)]
    p = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = hydra.utils.instantiate(cfg.optimizer)([p])
    transcription, settings = RAN[name]
    for grad, expected in zip(grads, transcription(start, grads, **settings), strict=True):
        p.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        tolerance = 1e-6 if name == "adamw" else 1e-11  # Liu's adds eps before the bias correction, torch's after it
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("cell", DECAYED, ids=lambda cell: str(cell.with_suffix("")))
def test_a_decay_says_of_which_kind_it_is(cell):
    comment = yaml.safe_load((CONF / cell).read_text())["tuned"]["source"]
    says = "decoupled" if "decoupled" in comment else "coupled"
    assert says in comment, "its source"
    cls = class_of(CONF / "optimizer" / f"{cell.stem}.yaml")
    if "decoupled_weight_decay" in choices(cls):
        assert settings(cell)["decoupled_weight_decay"] is (says == "decoupled")
    else:
        assert (cls is torch.optim.AdamW) is (says == "decoupled")


@pytest.mark.parametrize("name", ["decoupled_weight_decay", "variant"])
def test_every_optimizer_that_has_the_choice_makes_it(name):
    written = [path for path in (CONF / "optimizer").glob("*.yaml") if "_target_" in yaml.safe_load(path.read_text())]
    found = [path for path in written if name in choices(class_of(path))]
    assert found
    for path in found:
        assert name in yaml.safe_load(path.read_text()), path.name
