"""Adversarial training of a generator and a discriminator, and its FID at every `fid_every` steps.

Read `train` from top to bottom: networks, two optimizers of one config, FID, steps. An epoch of this task is
`fid_every` steps of the generator: what lies between two looks at the FID.
"""

import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Optimizer
from torchvision.utils import make_grid
from tqdm import tqdm

from acprop.runs import Diverged, Run, distributed, require, require_one_of
from acprop.runs.environment import pick_device, require_precision
from acprop.runs.launch import build
from experiments.gan.fid import FID, make_features
from experiments.gan.models import GAN
from experiments.images.data import ImageData, generator, send
from experiments.images.models.convolutions import require_safe
from experiments.images.train import CHECK_EVERY, COMPILE, autocast, compile_in_place

GRID = (8, 10)  # rows, columns of a sample picture; a column is a class where the generator knows classes
Batches = Iterator[tuple[Tensor, Tensor]]


def train(cfg: DictConfig) -> float | None:
    """Trains one cell and leaves its record. Returns its score, minus the last FID, or None if it diverged."""
    check(cfg)
    split = "validation" if cfg.held_out else "test"
    features = make_features(cfg, pick_device(cfg.device))  # before the run: a classifier it trains is a run itself
    key = f"{split}/{features.metric}"
    with Run.open(cfg, select=(key, "min")) as run:
        if run.finished:
            return -run.summary["final"][key] if run.summary["status"] == "done" else None
        layout = torch.channels_last if cfg.channels_last else torch.contiguous_format
        data = build("dataset", cfg.dataset)
        require(isinstance(data, ImageData), "dataset", cfg.names.dataset, "it holds no images; digits does")
        data = data.hold_out(cfg.held_out) if cfg.held_out else data
        data = pixels_in_unit_range(data, cfg.mirror).to(run.device)
        gan = build("model", cfg.model, num_classes=data.num_classes, in_channels=data.channels)
        require(isinstance(gan, GAN), "model", cfg.names.model, "it is no GAN; dcgan is")
        if run.device.type == "cpu" and cfg.channels_last:
            require_safe(generator=gan.generator, discriminator=gan.discriminator)
        gan.to(run.device, layout)
        g_optimizer = build("optimizer", cfg.optimizer, gan.generator.parameters())
        d_optimizer = build("optimizer", cfg.optimizer, gan.discriminator.parameters())
        average = deepcopy(gan.generator) if cfg.ema else None
        judged = average or gan.generator
        fid = FID(features, data, cfg.fid_count, cfg.fid_batch_size, cfg.fid_reference)
        scaler = torch.amp.GradScaler(run.device.type, enabled=cfg.precision == "fp16")
        losses = torch.zeros(2, device=run.device, dtype=torch.float64)  # this epoch's sums: discriminator, generator
        run.describe(
            parameters={"generator": size(gan.generator), "discriminator": size(gan.discriminator)},
            train_size=len(data.train_labels), test_size=len(data.test_labels),
            published_data=data.published and features.published, fid=fid.facts, metric=features.metric,
        )  # fmt: skip
        run.register(
            generator=gan.generator, discriminator=gan.discriminator, optimizer=g_optimizer, d_optimizer=d_optimizer,
            losses=losses, **({"average": average} if average else {}),
            **({"scaler": scaler} if scaler.is_enabled() else {}),
        )  # fmt: skip
        compile_networks(gan, cfg.compile)

        real_batches = gan.d_steps + gan.loss.relativistic  # a step takes so many batches of real images
        reals = data.endless_batches(cfg.seed, cfg.batch_size, start=run.step * real_batches, memory_format=layout)
        bar = tqdm(total=cfg.steps, initial=run.step, unit="step", disable=not sys.stderr.isatty(), leave=False)
        for _ in run.epochs(cfg.steps // cfg.fid_every):
            for _ in run.batches(range(run.batch, cfg.fid_every)):
                gan_step(gan, g_optimizer, d_optimizer, reals, cfg.batch_size, cfg.precision, losses, scaler)
                if average:
                    follow(average, gan.generator, 1 - cfg.ema if run.step else 1)
                run.samples += cfg.batch_size * real_batches
                bar.update()
                if run.step % CHECK_EVERY == 0:
                    run.require_finite("sum of losses", losses.sum().item())
            d_loss, g_loss = (losses / cfg.fid_every).tolist()
            run.log("train", d_loss=d_loss, g_loss=g_loss)
            run.require_finite("sum of losses", d_loss + g_loss)
            z, y = fixed_noise(gan, cfg.fid_count, cfg.seed, run.device)
            seen = fid.see(generate(judged, z, y, cfg.fid_batch_size, cfg.fid_mode))
            value = fid.distance(seen)
            run.log(split, **{features.metric: value})
            run.log_image("grid", sample_grid(gan, judged, run.device, cfg.fid_mode))
            run.require_finite(features.metric, value)
            if run.step == cfg.steps:  # once: half a minute of a core for 10,000 images
                run.log(split, **fid.kid_precision_recall(seen))
            losses.zero_()
            message = f"step {run.step}/{cfg.steps}: D {d_loss:.3f}, G {g_loss:.3f}, {features.metric} {value:.2f}"
            bar.set_postfix_str(message) if not bar.disable else print(message, flush=True)
        bar.close()
        run.describe(collapsed=run.values[key] > cfg.collapse)
        return -run.values[key]
    return None  # diverged


def check(cfg: DictConfig) -> None:
    distributed.refuse(cfg.task)
    for name in ("steps", "batch_size", "fid_count", "fid_every", "fid_batch_size"):
        require(isinstance(cfg[name], int) and cfg[name] > 0, name, cfg[name], "a whole number > 0")
    require(cfg.steps % cfg.fid_every == 0, "steps", cfg.steps, f"a multiple of fid_every={cfg.fid_every}")
    require(cfg.ema is None or 0 < cfg.ema < 1, "ema", cfg.ema, "a number between 0 and 1, or null for none")
    require_precision(cfg.precision, pick_device(cfg.device))
    require_one_of("compile", cfg.compile, COMPILE)
    require_one_of("mirror", cfg.mirror, (True, False))
    require_one_of("fid_reference", cfg.fid_reference, ("test", "train"))
    require_one_of("fid_mode", cfg.fid_mode, ("eval", "train"))


def pixels_in_unit_range(data: ImageData, mirror: bool) -> ImageData:
    """The set as a generator's tanh shows it: pixels in [-1, 1], never cropped; mirrored if asked for and if the set
    allows it."""
    half = (0.5,) * data.channels
    return replace(data, mean=half, std=half, crop=False, flip=data.flip and mirror)


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def compile_networks(gan: GAN, how: bool | str) -> None:
    """But for spectral norm: it changes its buffers, the discriminator sees two batches before one backward pass, and
    the compiler keeps some of the buffers themselves for that pass."""
    for net in (gan.generator, gan.discriminator):
        for part in net.modules():
            if how and isinstance(part, _SpectralNorm):
                part.forward = torch.compiler.disable(part.forward)  # type: ignore[method-assign]
        compile_in_place(net, how)


def gan_step(
    gan: GAN, g_optimizer: Optimizer, d_optimizer: Optimizer, reals: Batches, batch_size: int, precision: str,
    losses: Tensor, scaler: torch.amp.GradScaler,
) -> None:  # fmt: skip
    """`d_steps` optimizer steps of the discriminator, then one of the generator; adds their mean losses to `losses`."""
    g, d, device = gan.generator, gan.discriminator, losses.device
    for _ in range(gan.d_steps):
        x, y = next(reals)
        with autocast(device, precision):
            z, fake_y = gan.noise(batch_size, device)
            with torch.no_grad():
                fake = g(z, fake_y)
            real_logits, fake_logits = d(x, y), d(fake, fake_y)
        loss = gan.loss.discriminator(real_logits.float(), fake_logits.float())
        update(d_optimizer, loss, scaler)
        losses[0] += loss.detach() / gan.d_steps

    d.requires_grad_(False)  # its gradients are not wanted now
    with autocast(device, precision):
        z, fake_y = gan.noise(batch_size, device)
        fake_logits = d(g(z, fake_y), fake_y)
        real_logits = d(*next(reals)) if gan.loss.relativistic else fake_logits
    loss = gan.loss.generator(real_logits.float(), fake_logits.float())
    update(g_optimizer, loss, scaler)
    d.requires_grad_(True)
    losses[1] += loss.detach()


def update(optimizer: Optimizer, loss: Tensor, scaler: torch.amp.GradScaler) -> None:
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, weight: float) -> None:
    """average += weight * (net - average), buffers as the net has them. (torch's AveragedModel waits for a GPU.)"""
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), weight)
    for mine, new in zip(average.buffers(), net.buffers(), strict=True):
        mine.copy_(new)


def fixed_noise(gan: GAN, count: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """A generator's input as `GAN.noise` draws it, but the same every time and without a trace in the run's own random
    numbers: how often a run is looked at does not change it."""
    random = generator(seed, count)
    z = torch.randn(count, gan.z_dim, generator=random)
    return send(z, device), send(torch.randint(gan.num_classes, (count,), generator=random), device)


def sample_grid(gan: GAN, g: nn.Module, device: torch.device, mode: str) -> Tensor:
    """GRID of pictures as one, uint8 (C, H, W)."""
    rows, columns = GRID
    z, _ = fixed_noise(gan, rows * columns, 0, device)
    y = torch.arange(columns, device=device).remainder(gan.num_classes).repeat(rows)
    pictures = generate(g, z, y, len(z), mode)
    return make_grid(pictures, nrow=columns)[: pictures.shape[1]]


@torch.no_grad()
def generate(g: nn.Module, z: Tensor, y: Tensor, batch_size: int, mode: str = "eval") -> Tensor:
    """Images of the generator in that mode, uint8 (n, C, 32, 32), as a PNG file would hold them. It leaves no trace:
    running statistics are put back."""
    buffers = [(buffer, buffer.clone()) for buffer in g.buffers()]
    finite, pictures = torch.ones((), dtype=torch.bool, device=z.device), []
    g.train(mode == "train")
    for a, b in zip(z.split(batch_size), y.split(batch_size), strict=True):
        batch = g(a, b)
        finite &= batch.isfinite().all()
        pictures.append(batch.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8))
    g.train()
    for buffer, before in buffers:
        buffer.copy_(before)
    if not finite:  # asked once: a GPU waits for it
        raise Diverged("the generator's pictures are not finite")
    return torch.cat(pictures)
