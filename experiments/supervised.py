"""Supervised training of an image classifier, written once for every runner that needs it.

Read `train` from top to bottom: data, model, optimizer, schedule, epochs.
"""

import sys
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor, nn
from tqdm import tqdm

from acprop.runs import Run, require, require_one_of
from acprop.runs.launch import build
from experiments.data import ImageData

CHECK_EVERY = 50  # steps between looks at the loss: each look makes a GPU wait


def train(cfg: DictConfig) -> float | None:
    """Trains one cell and leaves its record. Returns its score, top-1 of the last epoch, or None if it diverged."""
    for name in ("epochs", "batch_size"):
        require(isinstance(cfg[name], int) and cfg[name] > 0, name, cfg[name], "a whole number > 0")
    require_one_of("precision", cfg.precision, ("fp32", "bf16"))
    split = "validation" if cfg.held_out else "test"

    with Run.open(cfg, select=(f"{split}/top1", "max")) as run:
        if run.finished:
            return run.summary["final"].get(f"{split}/top1") if run.summary["status"] == "done" else None
        layout = torch.channels_last if cfg.channels_last else torch.contiguous_format
        data = build("dataset", cfg.dataset)
        require(isinstance(data, ImageData), "dataset", cfg.names.dataset, "it holds no images; digits does")
        data = data.first(cfg.train_size) if cfg.train_size else data
        data = data.hold_out(cfg.held_out) if cfg.held_out else data
        data.to(run.device)
        model = build("model", cfg.model, num_classes=data.num_classes, in_channels=data.channels)
        require(isinstance(model, nn.Module), "model", cfg.names.model, "it classifies no images; resnet34 does")
        model = model.to(run.device, memory_format=layout)
        optimizer = build("optimizer", cfg.optimizer, model.parameters())
        schedule = build("schedule", cfg.schedule, optimizer, epochs=cfg.epochs)
        totals = torch.zeros(3, device=run.device, dtype=torch.float64)  # loss, correct, count of this epoch
        run.describe(
            parameters=sum(p.numel() for p in model.parameters()),
            train_size=len(data.train_labels),
            test_size=len(data.test_labels),
            published_data=data.published,
        )
        run.register(model=model, optimizer=optimizer, schedule=schedule, totals=totals)

        steps = -(-len(data.train_labels) // cfg.batch_size)
        bar = tqdm(
            total=cfg.epochs * steps, initial=run.step, unit="step", disable=not sys.stderr.isatty(), leave=False
        )
        for epoch in run.epochs(cfg.epochs):
            model.train()
            for x, y in run.batches(data.train_batches(cfg.seed, epoch, cfg.batch_size, run.batch, layout)):
                loss = train_step(model, optimizer, x, y, cfg.precision, totals)
                run.samples += len(y)
                bar.update()
                if run.step % CHECK_EVERY == 0:
                    run.require_finite("training loss", loss.item())
            train_loss, train_top1 = mean_loss_and_top1(totals)
            run.require_finite("training loss", train_loss)
            test_loss, test_top1 = evaluate(model, data, cfg.precision, layout)
            run.log("train", loss=train_loss, top1=train_top1)
            run.log(split, loss=test_loss, top1=test_top1)
            totals.zero_()
            schedule.step()
            message = f"epoch {epoch + 1}/{cfg.epochs}: train loss {train_loss:.4f}, {split} top-1 {test_top1:.2f} %"
            bar.set_postfix_str(message) if not bar.disable else print(message, flush=True)
        bar.close()
        return run.values[f"{split}/top1"]
    return None  # diverged


def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, precision: str, totals: Tensor
) -> Tensor:
    """One optimizer step on a batch; adds (loss sum, correct, count) to `totals`; returns the mean loss, detached."""
    with autocast(x.device, precision):
        logits = model(x)
        loss = F.cross_entropy(logits, y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    loss = loss.detach()
    count(totals, logits.detach(), loss, y)
    return loss


@torch.inference_mode()
def evaluate(model: nn.Module, data: ImageData, precision: str, layout: torch.memory_format) -> tuple[float, float]:
    """(mean cross-entropy, top-1 in percent) over the test set."""
    model.eval()
    totals = torch.zeros(3, device=data.test_labels.device, dtype=torch.float64)
    for x, y in data.test_batches(layout):
        with autocast(x.device, precision):
            logits = model(x)
            loss = F.cross_entropy(logits, y)
        count(totals, logits, loss, y)
    return mean_loss_and_top1(totals)


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def count(totals: Tensor, logits: Tensor, loss: Tensor, y: Tensor) -> None:
    totals[0] += loss * len(y)
    totals[1] += (logits.argmax(1) == y).sum()
    totals[2] += len(y)


def mean_loss_and_top1(totals: Tensor) -> tuple[float, float]:
    loss, correct, n = totals.tolist()
    return loss / n, 100 * correct / n
