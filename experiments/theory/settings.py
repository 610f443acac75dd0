"""What the settings of a study of convergence may be."""

from typing import Any

from omegaconf import DictConfig

from acprop.runs import require
from acprop.runs.identity import Config
from acprop.runs.settings import (
    OPTIMIZER,
    Rule,
    Rules,
    Settings,
    apply,
    component,
    either,
    list_of,
    number,
    one_of,
    optional,
    plain,
    text,
    whole,
)  # fmt: skip
from experiments.theory.limit import AXES
from experiments.theory.problems import PERIODIC, STOCHASTIC
from experiments.theory.recurrences import RULES

SHARE = Rule(lambda x: number(0, 1).holds(x) and x < 1, "a number >= 0 and < 1")
OPTIMIZERS = list_of(one_of(*RULES))
RATES = list_of(number(0, open_=True))
PERIOD = whole(3, 10_000)
STEPS = whole(1, 100_000_000)
ANY_OPTIMIZER = component(OPTIMIZER)
ANY_DATASET = component({"path": optional(text)})


def parts(**rules: Any) -> Any:
    """For a dict that has some of these keys."""

    def check(argument: str, value: Any, config: Config) -> None:
        require(isinstance(value, dict), argument, value, f"it has the parts {', '.join(rules)}")
        for key, item in value.items():
            require(key in rules, f"{argument}.{key}", item, f"choose of {', '.join(rules)}")
            apply(rules[key], f"{argument}.{key}", item, config)

    return check


def of_each(rule: Rule) -> Rule:
    """A value an optimizer, `default` for the others."""
    return Rule(
        lambda x: isinstance(x, dict) and "default" in x and all(map(rule.holds, x.values())),
        f"{{default: ...}} and by optimizer, each {rule.allowed}",
    )


PROBLEM = parts(name=one_of(*PERIODIC), periods=list_of(PERIOD), panels=OPTIMIZERS)
CRITERION = parts(
    measure=one_of("distance", "x", "drift"), below=number(), x0=number(), lrs=RATES, tail=STEPS, steps=of_each(STEPS),
    beta1=of_each(SHARE),
)  # fmt: skip


def optimizer(argument: str, value: Any, config: Config) -> None:
    """A name of the recurrences, or, where a net is trained, a node of conf/optimizer."""
    apply(ANY_OPTIMIZER if isinstance(value, dict) else one_of(*RULES), argument, value, config)


def problem(argument: str, value: Any, config: Config) -> None:
    """Its name, or the whole of it."""
    apply(PROBLEM if isinstance(value, dict) else one_of(*PERIODIC), argument, value, config)


STUDY: Rules = {
    "optimizers": OPTIMIZERS,
    "mutants": list_of(one_of(*AXES), least=0),
    "periods": parts(first=PERIOD, last=PERIOD),
    "optimizer": optimizer,
    "problem": problem,
    "problems": list_of(one_of(*STOCHASTIC)),
    "criterion": CRITERION,
    "P": PERIOD,
    "beta1": either(SHARE, list_of(SHARE)),
    "beta2": SHARE,
    "lr": number(0, open_=True),
    "lrs": RATES,
    "x0": either(number(), list_of(number(), 2, 2)),
    "a0": number(0, open_=True),
    "steps": either(STEPS, list_of(STEPS)),
    "horizons": list_of(whole(2, 100_000_000), least=2),
    "seeds": whole(2, 1_000_000),
    "seed": whole(0),
    "columns": list_of(whole(1, 100_000)),
    "repeats": whole(1, 10_000),
    "hidden": whole(1, 1_000_000),
    "batch_size": whole(1, 1_000_000),
    "epochs": whole(1, 1_000_000),
    "minus_log10_one_minus_beta2": parts(
        first=number(0, open_=True), step=number(0, open_=True), count=whole(1, 10_000)
    ),
    "dataset": ANY_DATASET,
    "budget": plain,
}


def relations(cfg: DictConfig) -> None:
    steps = cfg.study.get("steps")
    if isinstance(steps, int):
        require(round(steps * cfg.budget) >= 1, "budget", cfg.budget, f"so much that of {steps} steps one is left")


SETTINGS = Settings(
    {
        "study": component(STUDY, given=("run",)),
        "budget": Rule(
            lambda x: number(0, 1).holds(x) and x > 0, "a number > 0 and <= 1, it multiplies every step count"
        ),
        "problem": PROBLEM,
        "criterion": parts(**dict.fromkeys(PERIODIC, CRITERION)),
        "dataset": ANY_DATASET,
        "optimizer": ANY_OPTIMIZER,
        "tuned": plain,
    },
    relations,
    absent=("problem", "criterion", "dataset", "optimizer", "tuned"),
)
