"""No host waits for its GPU in a training step: a run of twice as many steps waits no more often. Whole runs, as the
command line starts them."""

import pytest
import torch

from acprop.runs import environment, load_records
from acprop.runs.launch import build
from experiments.gan.fid import make_features
from experiments.gan.train import gan_step, generate, pixels_in_unit_range
from experiments.gan.train import train as train_gan
from experiments.images.data import ImageData
from experiments.images.models.convolutions import gradient_error
from experiments.images.train import train as train_images
from tests.imagenet.test_image_files import jpegs  # noqa: F401
from tests.waits import DEVICE, counted


@pytest.fixture(autouse=True)
def on_the_device(monkeypatch):
    for module in ("acprop.runs.environment", "experiments.gan.train"):
        monkeypatch.setattr(f"{module}.pick_device", lambda name: DEVICE)
    gradient_error()  # looked at once a process


def waits_of(train, cfg):
    with counted() as waits:
        train(cfg)
    return waits


def two_and_five_steps(task, *cell, configure):
    return [
        waits_of(
            train_images, configure(task, "scale=smoke", "batch_size=8", "tracking=none", f"train_size={n}", *cell)
        )
        for n in (16, 40)
    ]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["acprop", "adam", "sgd", "adashift", "adabelief", "radam"])
def test_a_classifiers_step_waits_for_nothing(optimizer, precision, configure):
    cell = ("model=resnet34", f"optimizer={optimizer}", f"precision={precision}")
    few, many = two_and_five_steps("cifar", *cell, configure=configure)
    assert sum(few.values()), "the look at the end of an epoch is seen"
    assert few == many
    assert sorted(record.summary["steps"] for record in load_records("cifar")) == [2, 5]


def test_photographs_are_drawn_mirrored_and_cropped_without_waiting(configure, tmp_path):
    from tests.cifar.test_runner import write_cifar10

    write_cifar10(tmp_path / "data" / "cifar-10-batches-py", per_file=20)
    few, many = two_and_five_steps("cifar", "dataset=cifar10", "model=vgg11", configure=configure)
    assert few == many


SMALL_GAN = ("scale=smoke", "classifier.epochs=1", "classifier.model.width=0.03125", "tracking=none")


@pytest.mark.parametrize("model", ["dcgan", "rlgan", "sngan", "sagan"])
def test_a_gans_step_waits_for_nothing(model, configure):
    cfg = configure("gan", f"model={model}", *SMALL_GAN)
    photographs = ImageData(*[torch.zeros(20, 3, 32, 32, dtype=torch.uint8), torch.zeros(20, dtype=torch.int64)] * 2,
                            (0.5,) * 3, (0.5,) * 3, 10, flip=True)  # fmt: skip
    reals = pixels_in_unit_range(photographs, mirror=True).to(DEVICE).endless_batches(0, 8)
    gan = build("model", cfg.model, num_classes=10, in_channels=3)
    gan.to(DEVICE, torch.channels_last)
    optimizers = [build("optimizer", cfg.optimizer, net.parameters()) for net in (gan.generator, gan.discriminator)]
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    losses = torch.zeros(2, device=DEVICE, dtype=torch.float64)
    with counted() as waits:
        for _ in range(2):
            gan_step(gan, *optimizers, reals, 8, "bf16", losses, scaler)
    assert not waits


def test_neither_more_steps_nor_more_pictures_wait(configure):
    make_features(configure("gan", *SMALL_GAN), DEVICE)  # its classifier is trained before anything is counted
    few, many = (
        waits_of(train_gan, configure("gan", "model=rlgan", "ema=0.9", *SMALL_GAN, f"steps={n}", f"fid_every={n}"))
        for n in (2, 4)
    )
    assert few == many
    net = torch.nn.Sequential(torch.nn.Linear(4, 3 * 8 * 8), torch.nn.Unflatten(1, (3, 8, 8)))
    net.forward = lambda z, y, forward=net.forward: forward(z)
    with counted() as waits:
        generate(net, torch.zeros(300, 4), torch.zeros(300), 50, "train")
    assert sum(waits.values()) == 1, "whether they are finite is asked once"


def test_images_from_files_arrive_without_waiting(jpegs, configure):  # noqa: F811
    cell = ("dataset=image_folder", f"dataset.path='{jpegs}'", "epochs=1", "workers=1", "image_size=32")
    few, many = two_and_five_steps("imagenet", *cell, configure=configure)
    assert few["_local_scalar_dense"] == many["_local_scalar_dense"]
    assert few["a copy that blocks"] == many["a copy that blocks"]


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(), lambda x: bool(x.any()), lambda x: x.tolist(), lambda x: x[x > 0],
        lambda x: torch.ones(3).to(DEVICE), lambda x: torch.tensor([1.0], device=DEVICE), lambda x: x.nonzero(),
        lambda x: x.cpu(), lambda x: x.numpy(),
    ],
)  # fmt: skip
def test_what_waits_is_seen(wait):
    x = torch.ones(3)
    with counted() as waits:
        wait(x)
    assert sum(waits.values()) >= 1
    with counted() as waits:
        x.to(DEVICE, non_blocking=True).mul(2).sum()
    assert not waits


def test_the_device_is_the_one_that_is_picked():
    assert environment.pick_device("auto") == DEVICE
