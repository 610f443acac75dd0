"""The ImageNet runner from its command line: real files, real workers."""

import pytest
import torch

from acprop.runs import UsageError, load_records, runs_root
from acprop.runs.launch import CONF, build
from experiments.images.train import train
from tests.imagenet.test_image_files import broken, jpegs  # noqa: F401

CELLS = sorted(path.stem for path in (CONF / "imagenet" / "tuned" / "imagenet" / "resnet18").glob("*.yaml"))
SMALL = ("dataset=image_folder", "scale=smoke", "image_size=32", "resize=36", "tracking=none", "workers=0")


@pytest.mark.parametrize("cell", CELLS)
def test_the_papers_cell_composes(cell, configure):
    cfg = configure("imagenet", f"optimizer={cell}", "scale=paper")
    assert (cfg.epochs, cfg.batch_size, cfg.image_size, cfg.resize) == (90, 256, 224, 256)
    with torch.device("meta"):
        net = build("model", cfg.model, num_classes=1000, in_channels=3)
    assert sum(p.numel() for p in net.parameters()) == 11_689_512
    optimizer = build("optimizer", cfg.optimizer, net.parameters())
    schedule = build("schedule", cfg.schedule, optimizer, epochs=90)
    first = optimizer.param_groups[0]["lr"]
    rates = []
    for _ in range(90):
        rates.append(optimizer.param_groups[0]["lr"] / first)
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1.0] * 70 + [0.1] * 10 + [0.01] * 10)


@pytest.mark.slow
def test_trains_counts_what_is_unreadable_and_writes_table_2(broken, command):  # noqa: F811
    arguments = [*SMALL, f"dataset.path='{broken}'", "workers=2", "optimizer=adam", "precision=bf16"]
    done = command("-m", "experiments.imagenet", *arguments)
    assert done.returncode == 0, done.stderr
    (record,) = load_records("imagenet")
    assert record.status == "done"
    assert record.summary["unreadable_images"] == 3
    assert record.summary["train_size"] == 60
    assert {split for split in ("train", "test") if len(record.curve(split, "top5")) == 2} == {"train", "test"}
    accuracy = record.summary["final"]["test/top1"] * 19 / 100  # of the 19 test images that can be read
    assert accuracy == pytest.approx(round(accuracy))


def test_fp16_scales_its_loss_and_keeps_the_scale(jpegs, configure):  # noqa: F811
    train(configure("imagenet", *SMALL, f"dataset.path='{jpegs}'", "precision=fp16", "batch_size=20", "epochs=1"))
    (record,) = load_records("imagenet")
    assert record.status == "done"
    scaler = torch.load(record.path / "checkpoint.pt", weights_only=True)["objects"]["scaler"]
    assert scaler["scale"] > 0


@pytest.mark.parametrize(
    ("override", "words"), [("dataset=image_folder", "dataset.path"), ("dataset=imagenet", "make imagenet-smoke")]
)
def test_a_missing_path_is_one_line(override, words, configure):
    with pytest.raises(UsageError, match=words) as caught:
        train(configure("imagenet", "scale=smoke", "tracking=none", override))
    assert "\n" not in str(caught.value)
    assert not list(runs_root().rglob("run.json"))
