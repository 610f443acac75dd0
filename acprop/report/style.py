"""How an optimizer is called and drawn, everywhere: Okabe-Ito colours, which colour-blind readers tell apart, and a
line style each, for print in grey."""

from typing import Any, NamedTuple


class Look(NamedTuple):
    label: str
    color: str
    linestyle: str | tuple[int, tuple[int, ...]]


# In the paper's order; ACProp after the others, drawn on top of them.
OPTIMIZERS = {
    "sgd": Look("SGD", "#000000", (0, (1, 1))),
    "adam": Look("Adam", "#0072B2", "--"),
    "adamw": Look("AdamW", "#56B4E9", (0, (5, 1, 1, 1))),
    "radam": Look("RAdam", "#009E73", "-."),
    "rmsprop": Look("RMSProp", "#8C6D31", (0, (3, 1, 1, 1))),
    "adashift": Look("AdaShift", "#CC79A7", (0, (3, 2))),
    "adabelief": Look("AdaBelief", "#E69F00", (0, (7, 2))),
    "adopt": Look("ADOPT", "#7F7F7F", (0, (6, 1, 1, 1, 1, 1))),
    "avagrad": Look("AvaGrad", "#6A3D9A", (0, (2, 2))),
    "laprop": Look("LaProp", "#A6761D", (0, (4, 1))),
    "acprop": Look("ACProp", "#D55E00", "-"),
    "acprop_clipped": Look("ACProp, clipped", "#D55E00", (0, (5, 2))),
    # of the theory's figures
    "adashift_1": Look("AdaShift n=1", "#E7A9CB", (0, (3, 2))),
    "adashift_3": Look("AdaShift n=3", "#CC79A7", (0, (3, 2))),
    "adashift_10": Look("AdaShift n=10", "#8A3F6B", (0, (3, 2))),
    "acprop_skip": Look("ACProp, first step skipped", "#7A3300", (0, (4, 1, 1, 1))),
    "acprop_paper": Look("ACProp, Algorithm 2", "#D55E00", ":"),
    "adopt_unclipped": Look("ADOPT, not clipped", "#7F7F7F", ":"),
    # ACProp with one thing wrong
    "mutant_momentum": Look("momentum numerator", "#999999", "-"),
    "mutant_synchronous": Look("synchronous", "#999999", "-"),
    "mutant_uncentred": Look("uncentred", "#999999", "-"),
    "mutant_residual": Look("residual to m_(t-1)", "#999999", "-"),
    "mutant_eps_outside": Look("eps outside", "#999999", "-"),
    "mutant_beta1": Look("β1 = 0.5", "#999999", "-"),
}
MODELS = {
    "vgg11": "VGG-11",
    "vgg11_bn": "VGG-11 with batch norm",
    "resnet34": "ResNet-34",
    "densenet121": "DenseNet-121",
    "densenet40": "DenseNet-40",
    "wrn28_10": "WRN-28-10",
}
MODELS |= {"resnet18": "ResNet-18"}
MODELS |= {"dqn": "DQN", "ppo": "PPO", "sac": "SAC"}
MODELS |= {"dcgan": "DCGAN", "rlgan": "RLGAN", "sngan": "SNGAN", "sagan": "SAGAN"}
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "fashion_mnist": "Fashion-MNIST", "digits": "digits"}
DATASETS |= {"imagenet": "ImageNet", "imagenette": "Imagenette"}
DATASETS |= {"cldr_de_en": "embedded DE-EN", "cldr_vi_en": "embedded VI-EN", "cldr_ja_en": "embedded JA-EN"}
DATASETS |= {"cldr_ro_en": "embedded RO-EN"}
DATASETS |= {"four_rooms": "four-rooms", "cartpole": "CartPole", "pendulum": "Pendulum"}
DATASETS |= {"acrobot": "Acrobot", "minigrid_empty": "MiniGrid's empty room"}
FONT: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def model_name(model: str) -> str:
    """As people write it; one that the suite does not know, as its config is called."""
    return MODELS.get(model, model)


def dataset_name(dataset: str) -> str:
    return DATASETS.get(dataset, dataset)


def look(optimizer: str) -> Look:
    """The look of an optimizer; one the suite does not know is grey under its own name."""
    return OPTIMIZERS.get(optimizer, Look(optimizer, "#999999", "-"))


def order(optimizer: str) -> tuple[int, str]:
    """Sort key: the paper's order, unknown ones after it."""
    names = list(OPTIMIZERS)
    return (names.index(optimizer) if optimizer in names else len(names), optimizer)
