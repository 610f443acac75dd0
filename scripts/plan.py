"""What the whole paper costs at scale=paper, as a Markdown table: docs/scale.md shows it.

    python scripts/plan.py
    python scripts/plan.py --gpu H100 --tflops 67 --utilisation cnn=0.3 imagenet=0.5 gan=0.25 translation=0.3

Runs, samples and networks are read from conf/. Operations of a sample, forward and backward, are counted by torch's
FlopCounterMode on those networks: convolutions and matrix products, a multiplication and an addition as two. Checkpoint
sizes are counted from parameters and optimizer state. What a GPU makes of it is assumed, --tflops and --utilisation,
unless runs of scale=paper under $ACPROP_RUNS say how long an epoch took on it. RL and theory run on CPUs: their seconds
were measured.
"""

import argparse
import logging
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from acprop.report.style import MODELS
from acprop.runs import load_records
from acprop.runs.compose import composed
from acprop.runs.conf import every, protocols, read, roster
from acprop.runs.launch import build

FIG6, TABLE2, TABLE3, TABLE4 = map(roster, ("fig6", "table2", "table3", "table4"))
PAIRS_OF_LANGUAGES = ("DE-EN", "EN-VI", "JA-EN", "RO-EN")
GPUS = (1, 8, 64)
CIFAR, IMAGENET = (50_000, 10_000), (1_281_167, 50_000)  # images: training, test
PAIRS = (160_239, 7_283, 6_750)  # IWSLT14 DE-EN, training, validation, test; assumed for the other pairs too
TOKENS, VOCABULARY = 25, (8_848, 6_632)  # BPE tokens of a sentence, assumed, and of both dictionaries
RL_CPU_S, THEORY_CPU_S = 12.8, 260.0  # measured: 16,000 steps of DQN on one core; `make theory`
RECORD, PICTURE = 1e6, 2e5  # bytes, assumed: a run's record with its mirror; a GAN's sample picture


@dataclass(frozen=True)
class Group:
    """Cells of one kind. `flops` and `tested` are operations of a run: in training, and in its tests."""

    name: str
    family: str
    cell: tuple[str, str]  # task and model, as records have them
    runs: int
    epochs: int  # of a run, as its record counts them
    samples: int  # of a run's training: images, generator steps, sentence pairs
    flops: float
    tested: float
    bytes: float  # that a run leaves


@dataclass(frozen=True)
class Hardware:
    tflops: float
    utilisation: dict[str, float]
    epoch_s: dict[tuple[str, str], float]  # measured: seconds of an epoch, by cell

    def hours(self, group: Group) -> float:
        """GPU-hours of one run."""
        if group.cell in self.epoch_s:
            return group.epochs * self.epoch_s[group.cell] / 3600
        return (group.flops + group.tested) / (self.tflops * 1e12 * self.utilisation[group.family]) / 3600


def measured(gpu: str) -> dict[tuple[str, str], float]:
    """(task, model) -> seconds of an epoch, the median over runs of scale=paper on a device of that name."""
    took: dict[tuple[str, str], list[float]] = {}
    for record in load_records():
        one = record.summary
        if one["scale"] == "paper" and gpu.lower() in one["device"].lower() and one["epochs"]:
            took.setdefault((one["task"], one["model"]), []).append(one["wall_s"] / one["epochs"])
    return {cell: statistics.median(seconds) for cell, seconds in took.items()}


def flops(work: Callable[[], Any]) -> int:
    """Of what `work` does; under FakeTensorMode they are counted, not computed."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def classifier_flops(net: nn.Module, size: int) -> tuple[int, int]:
    """(forward and backward, forward alone) of one image of `size` x `size`; call it under FakeTensorMode."""
    images, labels = torch.zeros(2, 3, size, size), torch.zeros(2, dtype=torch.long)
    with torch.no_grad():
        forward = flops(lambda: net(images))
    return flops(lambda: F.cross_entropy(net(images), labels).backward()) // 2, forward // 2


def size_in_bytes(nets: Iterable[nn.Module], optimizers: Iterable[str]) -> float:
    """Of a checkpoint: parameters, buffers and optimizer state, the mean over `optimizers`."""
    tensors = [(t.numel(), t.numel() * t.element_size()) for net in nets for t in net.state_dict().values()]
    parameters = sum(p.numel() for net in nets for p in net.parameters())
    state = [state_bytes(name) for name in optimizers]
    return sum(size for _, size in tensors) + parameters * sum(state) / len(state)


@cache
def state_bytes(optimizer: str) -> float:
    """That an optimizer keeps for one parameter, counted on a tensor of 1000."""
    p = torch.zeros(1000, requires_grad=True)
    momentum = ["optimizer.momentum=0.9"] if optimizer == "sgd" else []
    one = build("optimizer", config("cifar", f"optimizer={optimizer}", "tuned=none", *momentum).optimizer, [p])
    p.sum().backward()
    one.step()
    tensors = [value for value in one.state[p].values() if isinstance(value, torch.Tensor) and value.numel() >= 1000]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1000


def config(task: str, *overrides: str) -> DictConfig:
    return composed(task, "scale=paper", *overrides)


@cache
def cifar_net(model: str, classes: int) -> tuple[nn.Module, int, int]:
    """The network and its `classifier_flops`."""
    cfg = config("cifar", f"model={model}", "tuned=none")
    with FakeTensorMode():
        net = build("model", cfg.model, num_classes=classes, in_channels=3)
        return net, *classifier_flops(net, 32)


def cifar(name: str, model: str, runs: int, optimizers: Iterable[str], share: float = 1.0, classes: int = 10) -> Group:
    net, both, forward = cifar_net(model, classes)
    epochs = config("cifar", f"model={model}", "tuned=none").epochs
    samples = round(epochs * CIFAR[0] * share)
    tested = epochs * (CIFAR[1] if share == 1 else CIFAR[0] - CIFAR[0] * share)
    return Group(
        f"{name}: {MODELS[model]}", "cnn", ("cifar", model), runs, epochs, samples, both * samples, forward * tested,
        size_in_bytes([net], optimizers) + RECORD,
    )  # fmt: skip


def sweep(name: str, title: str, seeds: int = 0) -> list[Group]:
    """One of conf/sweep: what it tunes by if it does, else what it reports, but for the cells that Fig 6 trains in so
    many seeds: the same settings are the same run."""
    spec = protocols()[name]
    how = spec["tuning"] or spec["report"]
    share = 1 - float(every(how)[0].get("held_out", 0))
    jobs = [{**setting, **one} for grid in spec["grids"] for setting in every(grid) for one in every(how)]
    groups = []
    for cell in every(spec["cells"]):
        new = [job for job in jobs if spec["tuning"] or not _is_of_fig6(job, cell, seeds)]
        groups.append(cifar(title, cell["model"], len(new), [job["optimizer"] for job in new], share))
    return groups


def _is_of_fig6(job: dict[str, Any], cell: dict[str, Any], seeds: int) -> bool:
    name = f"cifar/tuned/{cell['dataset']}/{cell['model']}/{job['optimizer']}"
    published = {f"optimizer.{key}": value for key, value in read(name)["optimizer"].items()}
    settings = {key: value for key, value in job.items() if key.startswith("optimizer.")}
    return job["seed"] < seeds and settings.items() <= published.items()


def imagenet(seeds: int) -> Group:
    cfg = config("imagenet")
    with FakeTensorMode():
        net = build("model", cfg.model, num_classes=1000, in_channels=3)
        both, forward = classifier_flops(net, cfg.image_size)
    samples = cfg.epochs * IMAGENET[0]
    return Group(
        "Table 2: ResNet-18", "imagenet", ("imagenet", "resnet18"), len(TABLE2) * seeds, cfg.epochs, samples,
        both * samples, forward * cfg.epochs * IMAGENET[1], size_in_bytes([net], TABLE2) + RECORD,
    )  # fmt: skip


@cache
def gan_nets(model: str) -> tuple[tuple[nn.Module, nn.Module], int, float]:
    """((generator, discriminator), operations of a generator step with its discriminator steps, of one picture)."""
    from experiments.gan.train import gan_step

    cfg = config("gan", "dataset=cifar10", f"model={model}", "tuned=none")
    with FakeTensorMode():
        game = build("model", cfg.model, num_classes=10, in_channels=3)
        g, d = game.generator, game.discriminator
        g_optimizer, d_optimizer = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (g, d))
        batch = torch.zeros(cfg.batch_size, 3, 32, 32), torch.zeros(cfg.batch_size, dtype=torch.long)
        reals, losses, scaler = repeat(batch), torch.zeros(2), torch.amp.GradScaler("cpu", enabled=False)
        step = flops(lambda: gan_step(game, g_optimizer, d_optimizer, reals, cfg.batch_size, "fp32", losses, scaler))
        with torch.no_grad():
            picture = flops(lambda: g(*game.noise(cfg.batch_size, torch.device("cpu")))) / cfg.batch_size
    return (g, d), step, picture


def gan(name: str, model: str, seeds: int, optimizers: tuple[str, ...]) -> Group:
    cfg = config("gan", "dataset=cifar10", f"model={model}", "tuned=none")
    nets, step, picture = gan_nets(model)
    looks = cfg.steps // cfg.fid_every
    return Group(
        f"{name}: {MODELS[model]}", "gan", ("gan", model), len(optimizers) * seeds, looks, cfg.steps, step * cfg.steps,
        looks * cfg.fid_count * (picture + inception_flops()),
        size_in_bytes(nets, optimizers) + RECORD + looks * PICTURE,
    )  # fmt: skip


@cache
def inception_flops() -> float:
    """Of one image seen by FID's network: torchvision's Inception-V3 at 299 x 299, close to pytorch-fid's."""
    from torchvision.models import inception_v3

    with FakeTensorMode(), torch.no_grad():
        net = inception_v3(weights=None, init_weights=False).eval()
        return flops(lambda: net(torch.zeros(1, 3, 299, 299)))


@cache
def transformer_flops() -> tuple[nn.Module, int, int]:
    """The network, and the operations of a sentence pair: forward and backward, forward alone."""
    net = transformer(config("transformer", "dataset=iwslt14_de_en", "tuned=none"))
    source, target = (torch.full((1, TOKENS), 5) for _ in range(2))

    def forward() -> torch.Tensor:
        logits, _ = net(source, torch.tensor([TOKENS]), target)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())

    both = flops(lambda: forward().backward())
    with torch.no_grad():
        return net, both, flops(forward)


def translation(name: str, pair: str, seeds: int, optimizers: tuple[str, ...]) -> Group:
    cfg = config("transformer", "dataset=iwslt14_de_en", "tuned=none")
    net, both, forward = transformer_flops()
    searched = cfg.epochs * PAIRS[1] + 2 * PAIRS[2]  # validation and two tests; each of a beam counted as a forward
    samples = cfg.epochs * PAIRS[0]
    kept = (cfg.average_last + 2) * size_in_bytes([net], optimizers)  # fairseq keeps the last ones and the best
    return Group(
        f"{name}: {pair}", "translation", ("transformer", cfg.names.model), len(optimizers) * seeds, cfg.epochs,
        samples, both * samples, forward * cfg.beam * searched, kept + RECORD,
    )  # fmt: skip


def transformer(cfg: DictConfig) -> nn.Module:
    """fairseq's network of a config, as its own command line builds it. It looks at values: no meta device."""
    from fairseq import options
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_MODEL_REGISTRY

    from experiments.transformer.command import training_options

    corpus: Any = SimpleNamespace(folder=Path("."), source="de", target="en")
    words = training_options(cfg, corpus, Path("."), 0, cpu=True)
    at = words.index("--optimizer")
    del words[at : at + 4]  # the suite's own, which counts for nothing here
    arguments = options.parse_args_and_arch(options.get_training_parser(), input_args=words)
    dictionaries = [Dictionary() for _ in VOCABULARY]
    for dictionary, size in zip(dictionaries, VOCABULARY, strict=True):
        for number in range(size - len(dictionary)):
            dictionary.add_symbol(str(number))
    task = SimpleNamespace(source_dictionary=dictionaries[0], target_dictionary=dictionaries[1])
    return ARCH_MODEL_REGISTRY[arguments.arch].build_model(arguments, task)


def paper(seeds: int) -> list[Group]:
    """All that `make reproduce` gives a GPU to compute."""
    both, avagrad = ("avagrad", "acprop"), ("avagrad",)
    return [
        *(cifar("Fig 6", model, len(FIG6) * seeds, FIG6) for model in ("vgg11", "resnet34", "densenet121")),
        *sweep("fig7", "Fig 7", seeds),
        *sweep("fig5cd", "Fig 5c, d", seeds),
        imagenet(seeds),
        *(translation("Table 3", pair, seeds, TABLE3) for pair in PAIRS_OF_LANGUAGES),
        *(gan("Table 4", model, seeds, TABLE4) for model in ("dcgan", "rlgan", "sngan", "sagan")),
        *(cifar(f"Table 5, CIFAR-{n}", "wrn28_10", len(both) * seeds, both, classes=n) for n in (10, 100)),
        *(translation("Table 5, AvaGrad", pair, seeds, avagrad) for pair in ("DE-EN", "RO-EN")),
        *(gan("Table 5, AvaGrad", model, seeds, avagrad) for model in ("dcgan", "sngan")),
    ]


def wall_hours(parts: Iterable[tuple[int, float]], gpus: int) -> float:
    """Of (runs, hours of one) on so many GPUs: runs are independent and stay whole, so neither the work shared out nor
    the longest run can be beaten. Handed out longest first, it takes at most a third more (Graham 1969)."""
    parts = list(parts)
    return max(sum(runs * hours for runs, hours in parts) / gpus, max(hours for _, hours in parts))


def table(rows: list[Group], hardware: Hardware) -> str:
    header = ["cells", "runs", "samples a run", "GFLOP a sample", "EFLOP in all", "h a run"]
    header += [f"h on {gpus}" for gpus in GPUS] + ["GB"]
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    parts = [(group.runs, hardware.hours(group)) for group in rows]
    for group, part in zip(rows, parts, strict=True):
        total = group.runs * (group.flops + group.tested)
        cells = [group.name, f"{group.runs}", f"{group.samples:,}", f"{group.flops / group.samples / 1e9:.3g}"]
        cells += _costs(total, [part], part[1], group.runs * group.bytes)
        lines.append("| " + " | ".join(cells) + " |")
    total = sum(group.runs * (group.flops + group.tested) for group in rows)
    size = sum(group.runs * group.bytes for group in rows)
    cells = ["**all**", f"{sum(group.runs for group in rows)}", "", ""]
    lines.append("| " + " | ".join(cells + _costs(total, parts, max(hours for _, hours in parts), size)) + " |")
    return "\n".join(lines)


def _costs(total: float, parts: list[tuple[int, float]], longest: float, size: float) -> list[str]:
    hours = [wall_hours(parts, gpus) for gpus in GPUS]
    return [f"{total / 1e18:.3g}", f"{longest:.2f}", *(f"{value:,.1f}" for value in hours), f"{size / 1e9:.1f}"]


def cpu_table() -> str:
    rl = 7 * 30 + 7 * 10  # `make sweep NAME=four_rooms` and `NAME=rl_eps`
    settings = 7 * 35 * 5  # of the first, half as long
    rows = [
        ("Fig 9: DQN, and ACProp over eps", rl, RL_CPU_S * rl),
        ("Fig 9: its tuning", settings, RL_CPU_S / 2 * settings),
        ("Fig 1 to 5b, Rosenbrock, the rate", 1, THEORY_CPU_S),
    ]
    rows.append(("**all**", sum(runs for _, runs, _ in rows), sum(seconds for _, _, seconds in rows)))
    lines = ["| cells | runs | CPU-h |", "|---|---:|---:|"]
    return "\n".join(lines + [f"| {name} | {runs} | {seconds / 3600:.2f} |" for name, runs, seconds in rows])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", default="A100", help="its name, for the caption")
    parser.add_argument(
        "--tflops", type=float, default=19.5, help="its peak in fp32, which the paper's runs compute in"
    )
    parser.add_argument("--seeds", type=int, default=5, help="of every cell but those of the sweeps")
    parser.add_argument("--utilisation", nargs="*", default=[], metavar="FAMILY=SHARE", help="of the peak, by family")
    given = parser.parse_args(arguments)
    logging.disable(logging.INFO)  # fairseq turns it on for everyone
    utilisation = {"cnn": 0.35, "imagenet": 0.5, "gan": 0.3, "translation": 0.35}
    for word in given.utilisation:
        family, _, share = word.partition("=")
        if family not in utilisation or not 0 < float(share or 0) <= 1:
            parser.error(f"--utilisation {word}: FAMILY is one of {', '.join(utilisation)}, SHARE between 0 and 1")
        utilisation[family] = float(share)
    assumed = ", ".join(f"{family} {share:.0%}" for family, share in utilisation.items())
    epoch_s = measured(given.gpu)
    print(f"Assumed: {given.gpu}, fp32, peak {given.tflops:g} TFLOP/s, of which {assumed}; {given.seeds} seeds.")
    if epoch_s:
        print(f"Measured, by runs on it: {', '.join(' '.join(cell) for cell in sorted(epoch_s))}.")
    print("A sample is an image, in Table 4 a generator step, in Table 3 a pair of sentences of")
    print(f"{TOKENS} tokens. The hours on one GPU are the GPU-hours.\n")
    hardware = Hardware(given.tflops, utilisation, epoch_s)
    print("`make reproduce` on GPUs:\n")
    print(table(paper(given.seeds), hardware) + "\n")
    print("`make sweep NAME=cifar10`, the tuning behind Fig 6, before the report of what it chose:\n")
    print(table(sweep("cifar10", "lr x eps"), hardware) + "\n")
    print("On CPUs:\n")
    print(cpu_table())


if __name__ == "__main__":
    main(sys.argv[1:])
