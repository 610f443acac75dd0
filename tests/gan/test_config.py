"""Table 4's cells and what the scales make of them."""

import hydra
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from acprop.runs.conf import roster
from acprop.runs.identity import config_hash, scale_label
from acprop.runs.launch import CONF
from tests.gan.test_models import MODELS

TUNED = CONF / "gan" / "tuned" / "cifar10"
TUNED = CONF / "gan" / "tuned" / "cifar10"
CELLS = sorted(path.relative_to(TUNED) for path in TUNED.rglob("*.yaml"))
BUDGETS = {"dcgan": (2, 200_000, 64), "rlgan": (1, 100_000, 32), "sngan": (5, 100_000, 64), "sagan": (5, 100_000, 64)}
# mirrored, judged against, generator's mode, pictures, loss: StudioGAN's, and the relativistic GAN's own code
PROTOCOLS = {
    "dcgan": (True, "test", "eval", 10_000, "vanilla_studiogan"), "rlgan": (False, "train", "train", 50_000, "rsgan"),
    "sngan": (True, "test", "eval", 10_000, "hinge"), "sagan": (True, "test", "eval", 10_000, "hinge"),
}  # fmt: skip


def plain(cfg):
    return {key: value for key, value in OmegaConf.to_container(cfg, resolve=True).items() if key != "hydra"}


def test_table4_is_complete():
    assert {(cell.parent.name, cell.stem) for cell in CELLS} == {(m, o) for m in BUDGETS for o in roster("table4")}
    assert set(MODELS) == set(BUDGETS)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: str(cell.with_suffix("")))
def test_every_cell_reaches_the_optimizer_at_the_papers_scale(cell, configure):
    text = (TUNED / cell).read_text()
    assert yaml.safe_load(text)["tuned"]["source"]
    cfg = configure("gan", "dataset=cifar10", f"model={cell.parent}", f"optimizer={cell.stem}", "scale=paper")
    optimizer = hydra.utils.instantiate(cfg.optimizer)([torch.zeros(1, requires_grad=True)])
    group = optimizer.param_groups[0]
    assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)
    assert group["eps"] == yaml.safe_load(text)["optimizer"]["eps"]
    assert (cfg.model.d_steps, cfg.steps, cfg.batch_size) == BUDGETS[cell.parent.name]
    assert (cfg.model.z_dim, cfg.width, cfg.ema, cfg.precision) == (128, 1.0, None, "fp32")
    assert (cfg.fid_network, cfg.fid_dims, cfg.fid_every) == ("inception", 2048, 2000)
    assert (cfg.mirror, cfg.fid_reference, cfg.fid_mode, cfg.fid_count, cfg.model.loss) == PROTOCOLS[cell.parent.name]
    assert scale_label(plain(cfg)) == "paper"


@pytest.mark.parametrize("scale", ["laptop", "smoke"])
@pytest.mark.parametrize("model", MODELS)
def test_a_smaller_scale_changes_the_budget_alone(model, scale, configure):
    small = configure("gan", f"model={model}", f"scale={scale}")
    whole = configure("gan", f"model={model}", "scale=paper")
    differ = {key for key in whole if key not in ("hydra", "scale") and small[key] != whole[key]}
    assert differ <= {
        "steps", "batch_size", "width", "lr", "fid_every", "fid_count", "threads", "model", "optimizer", "tuned",
    }  # fmt: skip
    assert {k for k in whole.model if small.model[k] != whole.model[k]} == {"width"}
    assert {k for k in whole.optimizer if small.optimizer[k] != whole.optimizer[k]} <= {"lr"}
    assert small.fid_network == "classifier"


def test_what_does_not_change_the_result_does_not_change_the_run(configure):
    def hash_of(*overrides):
        return config_hash(plain(configure("gan", *overrides)))

    assert hash_of() == hash_of("tracking=none", "device=cpu", "threads=2", "seed=4", "checkpoint_every_s=5")
    assert len({hash_of(), hash_of("lr=1e-5"), hash_of("model.loss=hinge"), hash_of("classifier.epochs=3")}) == 4


def test_help_shows_the_groups_without_loading_torch(command):
    done = command("-X", "importtime", "-m", "experiments.gan", "--help")
    assert done.returncode == 0
    for words in ("model: ", "sagan", "optimizer: ", "fid_network:", "classifier:"):
        assert words in done.stdout, done.stdout
    assert " torch\n" not in done.stderr
