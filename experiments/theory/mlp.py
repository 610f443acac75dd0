"""Fig 5a,b: denominators and training loss of a 2-layer MLP, one optimizer a run, by the classes that users import."""

import math

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import nn

from acprop.runs import Run
from acprop.runs.launch import build
from experiments.images.data import ImageData, generator


def study(
    run: Run, dataset: DictConfig, optimizer: DictConfig, seed: int, hidden: int, batch_size: int, epochs: int,
    budget: float,
) -> None:  # fmt: skip
    """Logs loss (mean over the epoch), top1 and denominator (after the epoch's last step), each epoch."""
    data: ImageData = build("dataset", dataset).to(run.device)
    images, labels = data.normalize(data.train_images).flatten(1), data.train_labels
    model = nn.Sequential(nn.Linear(images.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, data.num_classes))
    model.to(run.device)
    rule = build("optimizer", optimizer, model.parameters())
    run.describe(train_size=len(labels), parameters=sum(p.numel() for p in model.parameters()))
    run.register(model=model, optimizer=rule)
    for epoch in run.epochs(max(1, round(budget * epochs))):
        losses, correct = 0.0, 0
        order = torch.randperm(len(labels), generator=generator(seed, epoch)).to(run.device)
        for index in order.split(batch_size):
            logits = model(images[index])
            loss = F.cross_entropy(logits, labels[index])
            rule.zero_grad()
            loss.backward()
            rule.step()
            run.step += 1
            losses += loss.item() * len(index)
            correct += int((logits.argmax(1) == labels[index]).sum())
        run.log("train", loss=losses / len(labels), top1=100 * correct / len(labels), denominator=denominator(rule))
        run.require_finite("training loss", losses)


@torch.no_grad()
def denominator(optimizer: torch.optim.Optimizer) -> float:
    """Mean over all coordinates of what a gradient is divided by, from the optimizer's present second moment:
    sqrt(second / correction) + eps."""
    total, count = 0.0, 0
    for group in optimizer.param_groups:
        for p in group["params"]:
            state = optimizer.state[p]
            names = ("exp_avg_var", "exp_avg_sq", "square_avg")
            second = next(state[name] for name in names if name in state)
            correction = 1.0
            if "betas" in group:
                correction = 1 - group["betas"][1] ** (float(state["step"]) - group.get("keep_num", 0))
            values = second.sqrt() / math.sqrt(correction) + group["eps"]
            total += float(values.mean()) * p.numel()
            count += p.numel()
    return total / count
