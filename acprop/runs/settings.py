"""What a task's settings may be: a rule for each, checked over the resolved config before anything is made.

`experiments/<task>/settings.py` holds a task's own, here stands what every task has. A setting without a rule is
refused, so that nothing enters a run's identity or its path unseen.
"""

import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig

from acprop.runs.errors import UsageError, require
from acprop.runs.identity import Config, resolved

SEEDS = 2**31  # numpy and Gymnasium take no more, with what is added to a seed
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")  # of what becomes part of a path


class Rule(NamedTuple):
    """`holds(value)`; `allowed` says it in words."""

    holds: Callable[[Any], bool]
    allowed: str


Rules = Mapping[str, Any]  # dotted name -> Rule, or a function (name, value, config) that raises UsageError


class Settings(NamedTuple):
    """A task's.

    Attributes:
        rules: of each setting.
        relations: raises `UsageError` for settings that are possible, but not together.
        absent: settings of `rules` that a config may lack.
    """

    rules: Rules
    relations: Callable[[DictConfig], None] = lambda cfg: None
    absent: Collection[str] = ()


# -- rules -------------------------------------------------------------------------------------------------------------


def whole(least: int = 1, most: int = 10**9) -> Rule:
    return Rule(
        lambda x: isinstance(x, int) and not isinstance(x, bool) and least <= x <= most,
        f"a whole number from {least} to {most:,}",
    )


def number(least: float = -math.inf, most: float = math.inf, open_: bool = False) -> Rule:
    """Finite, from `least` to `most`; without them if `open_`."""

    def holds(x: Any) -> bool:
        if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
            return False
        return least < x < most if open_ else least <= x <= most

    ends = [f"{'>' if open_ else '>='} {least:g}"] if least > -math.inf else []
    ends += [f"{'<' if open_ else '<='} {most:g}"] if most < math.inf else []
    return Rule(holds, " ".join(["a number", " and ".join(ends)]).strip())


flag = Rule(lambda x: isinstance(x, bool), "true or false")
text = Rule(lambda x: isinstance(x, str) and bool(x) and x.isprintable(), "words")
name = Rule(lambda x: isinstance(x, str) and bool(NAME.fullmatch(x)), "letters, digits and ._+-, at most 100")
anything = Rule(lambda x: True, "anything")


def one_of(*values: Any) -> Rule:
    # true is not 1
    same = {(type(value), value) for value in values}
    return Rule(
        lambda x: isinstance(x, str | int) and (type(x), x) in same, f"choose one of {', '.join(map(str, values))}"
    )


def optional(rule: Rule, none: str = "none") -> Rule:
    """Or null, which means `none`."""
    return Rule(lambda x: x is None or rule.holds(x), f"{rule.allowed}, or null for {none}")


def either(*rules: Rule) -> Rule:
    return Rule(lambda x: any(r.holds(x) for r in rules), ", or ".join(r.allowed for r in rules))


def list_of(rule: Rule, least: int = 1, most: int = 10_000) -> Rule:
    count = f"{least}" if least == most else f"{least} or more"
    return Rule(
        lambda x: isinstance(x, list) and least <= len(x) <= most and all(rule.holds(item) for item in x),
        f"a list of {count}, each {rule.allowed}",
    )


def component(arguments: Rules, makes: type | None = None, remedy: str = "", given: Collection[str] = ()) -> Any:
    """For a node with `_target_`, which must exist and take the node's arguments. Each keeps to its rule, or, without
    one, is plain and finite.

    Args:
        arguments: rules, by name, for whatever the target is.
        makes: what it must make, as far as its annotation says; `remedy` tells of one that does.
        given: arguments that the runner adds.
    """

    def check_node(argument: str, node: Any, config: Config) -> None:
        require(isinstance(node, dict) and "_target_" in node, argument, node, "choose a file of conf/ by its name")
        target, parameters = _signature(argument, node["_target_"])
        if makes and (kind := _made_by(target)):
            require(issubclass(kind, makes), argument, config["names"].get(argument, node["_target_"]), remedy)
        named = [name for name, p in parameters.items() if p.kind != p.VAR_KEYWORD and name not in (*given, "self")]
        for key, value in node.items():
            if key not in INSTRUCTIONS:
                known = key in named or len(named) < len(set(parameters) - {*given, "self"})
                require(known, f"{argument}.{key}", value, f"{node['_target_']} takes {', '.join(named)}")
                apply(arguments.get(key, plain), f"{argument}.{key}", value, config)

    return check_node


INSTRUCTIONS = ("_target_", "_partial_", "_convert_", "_recursive_")  # to Hydra, no arguments


def _signature(argument: str, name: Any) -> tuple[Any, Mapping[str, inspect.Parameter]]:
    try:
        target = get_object(name)
        return target, inspect.signature(target).parameters
    except Exception as error:  # whatever an import may raise
        reason = " ".join(str(error).split())
        raise UsageError(f"{argument}._target_={name!r}: it cannot be imported ({reason})") from error


def _made_by(target: Any) -> type | None:
    """The class of what a class or an annotated function makes."""
    if isinstance(target, type):
        return target
    kind = getattr(target, "__annotations__", {}).get("return")
    return kind if isinstance(kind, type) else None


def _plain(x: Any) -> bool:
    if isinstance(x, dict):
        return all(_plain(value) for value in x.values())
    if isinstance(x, list):
        return all(map(_plain, x))
    return x is None or isinstance(x, str | bool | int) or (isinstance(x, float) and math.isfinite(x))


plain = Rule(_plain, "a finite number, a word, true, false, null, or lists of them")

# -- what every task has -----------------------------------------------------------------------------------------------

OPTIMIZER: Rules = {
    "lr": number(0),
    "eps": number(0),
    "weight_decay": number(0),
    "betas": list_of(number(0, 1), 2, 3),
    "momentum": number(0),
    "alpha": number(0, 1),
    "dampening": number(),
    **dict.fromkeys(("nesterov", "centered", "amsgrad", "maximize", "decoupled_weight_decay"), flag),
    **dict.fromkeys(("foreach", "fused", "capturable", "differentiable"), optional(flag, "torch's choice")),
}

COMMON: Rules = {
    "task": text,
    "revision": whole(0),
    "seed": whole(0, SEEDS - 1),
    "force": flag,
    "device": one_of("auto", "cpu", "cuda"),
    "deterministic": flag,
    "threads": optional(whole(1, 1024), "every core"),
    "telemetry": whole(0),
    "checkpoint_every_s": number(0),
    **dict.fromkeys(("names.dataset", "names.model", "names.optimizer"), name),
    "tracking.mode": one_of("auto", "online", "offline", "disabled"),
    "tracking.project": text,
    "tracking.entity": optional(text, "your own"),
    "scale": anything,  # it and `tuned` feed other settings
    "tuned": anything,
}
FIXED = ("task", "revision", "names")  # what a run is follows from what it is composed of


def check(cfg: DictConfig, settings: Settings) -> None:
    """Raises `UsageError` for the first setting of a composed config that is not possible."""
    for override in HydraConfig.get().overrides.task:
        key = override.lstrip("+~").partition("=")[0]
        require(key.split(".")[0] not in FIXED, key, override.partition("=")[2], "it follows from what is chosen")
    config = resolved(cfg)
    for key in ("hydra", "sweep"):  # how a command runs, not what
        config.pop(key, None)
    rules = {**COMMON, **settings.rules}
    for key in rules:
        require(key in settings.absent or _has(config, key), key, None, "it must be set; leave out the ~")
    _walk(rules, config, config)
    settings.relations(cfg)


def _has(config: Config, key: str) -> bool:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return not isinstance(node, dict)  # what stands in its place is told better by `_walk`
        node = node[part]
    return True


def _walk(rules: Rules, node: Config, config: Config, prefix: str = "") -> None:
    # single values first: others are often made from them
    for key, value in sorted(node.items(), key=lambda item: isinstance(item[1], dict)):
        path = f"{prefix}{key}"
        if path in rules:
            apply(rules[path], path, value, config)
        elif below := _parts(rules, f"{path}."):
            require(isinstance(value, dict), path, value, f"it has the parts {', '.join(below)}")
            _walk(rules, value, config, f"{path}.")
        else:
            here = ", ".join(_parts(rules, prefix))
            raise UsageError(f"{path}={value!r}: there is no such setting; here are {here}")


def _parts(rules: Rules, prefix: str) -> list[str]:
    return sorted({rule.removeprefix(prefix).split(".")[0] for rule in rules if rule.startswith(prefix)})


def apply(rule: Any, argument: str, value: Any, config: Config) -> None:
    require(value != "???", argument, value, "it has no default; name one")
    if isinstance(rule, Rule):
        require(rule.holds(value), argument, value, rule.allowed)
    else:
        rule(argument, value, config)
