"""Supervised training of an image classifier, written once for every runner that needs it, in one process or in several
that torchrun starts.

Read `train` from top to bottom: data, model, optimizer, schedule, epochs. `batch_size` is the global batch: n processes
get an n-th of it each and compute what one process would (but for batch norm, whose statistics are each process's own).
The learning rate belongs to the global batch and is never scaled behind the user's back.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from acprop.runs import Run, distributed, require, require_one_of
from acprop.runs.launch import build
from experiments.images.data import Images
from experiments.images.models.convolutions import require_safe

CHECK_EVERY = 50  # steps between looks at the loss: each look makes a GPU wait
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
COMPILE = (False, True, "reduce-overhead", "max-autotune")


def train(cfg: DictConfig) -> float | None:
    """Trains one cell and leaves its record. Returns its score, top-1 of the last epoch, or None if it diverged."""
    for name in ("epochs", "batch_size"):
        require(isinstance(cfg[name], int) and cfg[name] > 0, name, cfg[name], "a whole number > 0")
    require_one_of("compile", cfg.compile, COMPILE)
    split = "validation" if cfg.held_out else "test"

    with Run.open(cfg, select=(f"{split}/top1", "max"), several_ranks=True) as run:
        if run.finished:
            return run.summary["final"].get(f"{split}/top1") if run.summary["status"] == "done" else None
        layout = torch.channels_last if cfg.channels_last else torch.contiguous_format
        data = load(cfg).to(run.device, cfg.get("workers"))
        model = build("model", cfg.model, num_classes=data.num_classes, in_channels=data.channels)
        require(isinstance(model, nn.Module), "model", cfg.names.model, "it classifies no images; resnet34 does")
        if run.device.type == "cpu" and cfg.channels_last:
            require_safe(model=model)
        model = model.to(run.device, memory_format=layout)
        optimizer = build("optimizer", cfg.optimizer, model.parameters())
        schedule = build("schedule", cfg.schedule, optimizer, epochs=cfg.epochs)
        scaler = torch.amp.GradScaler(run.device.type, enabled=cfg.precision == "fp16")
        totals = torch.zeros(4, device=run.device, dtype=torch.float64)  # this epoch's sums, see `count`
        run.describe(
            parameters=sum(p.numel() for p in model.parameters()),
            train_size=data.train_size,
            test_size=data.test_size,
            published_data=data.published,
            num_classes=data.num_classes,
        )
        run.register(model=model, optimizer=optimizer, schedule=schedule, scaler=scaler, totals=totals)

        compile_in_place(model, cfg.compile)
        world = distributed.world_size()
        trained = DistributedDataParallel(model) if world > 1 else model
        ranks = {"rank": distributed.rank(), "world": world}
        steps = -(-data.train_size // cfg.batch_size)
        quiet = not (run.leader and sys.stderr.isatty())
        bar = tqdm(total=cfg.epochs * steps, initial=run.step, unit="step", disable=quiet, leave=False)
        curve: list[float] = []  # of test top-1, as the terminal shows it
        for epoch in run.epochs(cfg.epochs):
            trained.train()
            batches = data.train_batches(cfg.seed, epoch, cfg.batch_size, run.batch, layout, **ranks)
            for x, y in run.batches(batches):
                size = min(cfg.batch_size, data.train_size - run.batch * cfg.batch_size)  # of all processes
                loss = train_step(trained, optimizer, x, y, cfg.precision, totals, scaler, size / world)
                run.samples += size
                bar.update()
                if run.step % CHECK_EVERY == 0:
                    run.require_finite("training loss", distributed.add_up(loss).item())
            train_loss, train_top1, train_top5 = means(distributed.add_up(totals))
            run.require_finite("training loss", train_loss)
            distributed.same_buffers(model)
            test_loss, test_top1, test_top5 = evaluate(model, data, cfg.precision, layout, run.device, **ranks)
            run.log("train", loss=train_loss, top1=train_top1, top5=train_top5)
            run.log(split, loss=test_loss, top1=test_top1, top5=test_top5)
            run.describe(unreadable_images=len(set().union(*distributed.gather(data.unreadable))))
            totals.zero_()
            schedule.step()
            if run.leader:
                curve.append(test_top1)
                message = (
                    f"epoch {epoch + 1}/{cfg.epochs}: train loss {train_loss:.4f}, {split} top-1 {test_top1:.2f} %"
                )
                message += f"  {bars(curve)}"
                bar.set_postfix_str(message) if not bar.disable else print(message, flush=True)
        bar.close()
        return run.values[f"{split}/top1"]
    return None  # diverged


def bars(percent: Sequence[float], most: int = 40) -> str:
    """The last `most` values between 0 and 100 as a curve of blocks."""
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(value / 12.5))] for value in percent[-most:])


def load(cfg: DictConfig) -> Images:
    """The data set, or the part of it that the config asks for."""
    data = distributed.leader_first(lambda: build("dataset", cfg.dataset))
    require(isinstance(data, Images), "dataset", cfg.names.dataset, "it holds no images; digits does")
    data = data.first(cfg.train_size) if cfg.train_size else data
    return data.hold_out(cfg.held_out) if cfg.held_out else data


def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, precision: str, totals: Tensor,
    scaler: torch.amp.GradScaler, size: float,
) -> Tensor:  # fmt: skip
    """One optimizer step on a batch; counts it in `totals`; returns the loss, detached.

    Args:
        size: images by which the sum of losses is divided: those of the batch, or, of n processes whose gradients are
            averaged, an n-th of the global batch.
    """
    with autocast(x.device, precision):
        logits = model(x)
        total = F.cross_entropy(logits, y, reduction="sum")
        loss = total / size
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    count(totals, logits.detach(), total.detach(), y)
    return loss.detach()


@torch.inference_mode()
def evaluate(
    model: nn.Module, data: Images, precision: str, layout: torch.memory_format, device: torch.device, rank: int = 0,
    world: int = 1,
) -> tuple[float, float, float]:  # fmt: skip
    """(mean cross-entropy, top-1, top-5 in percent) over the test set, each image once."""
    model.eval()
    totals = torch.zeros(4, device=device, dtype=torch.float64)
    for x, y in data.test_batches(layout, rank, world):
        with autocast(x.device, precision):
            logits = model(x)
            loss = F.cross_entropy(logits, y, reduction="sum")
        count(totals, logits, loss, y)
    return means(distributed.add_up(totals))


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    return torch.autocast(device.type, AUTOCAST.get(precision), enabled=precision in AUTOCAST)


def compile_in_place(net: nn.Module, how: bool | str) -> None:
    """torch.compile, `how` being one of COMPILE; names of parameters stay as they are."""
    if how:
        net.compile(mode=None if how is True else how)


def count(totals: Tensor, logits: Tensor, loss: Tensor, y: Tensor) -> None:
    """Adds (sum of losses, right at once, right among five, images that count) of a batch."""
    five = logits.topk(min(5, logits.shape[1])).indices
    totals[0] += loss
    totals[1] += (logits.argmax(1) == y).sum()
    totals[2] += (five == y.unsqueeze(1)).sum()
    totals[3] += (y >= 0).sum()


def means(totals: Tensor) -> tuple[float, float, float]:
    """(mean loss, top-1, top-5 in percent) of what `count` added up."""
    loss, top1, top5, n = totals.tolist()
    return loss / n, 100 * top1 / n, 100 * top5 / n
