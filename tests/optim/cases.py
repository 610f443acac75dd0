"""What is tested: every optimizer with the options that change its maths, and every path that computes it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from acprop import ADOPT, ACProp, AdaBelief, AdaShift, AvaGrad, LaProp
from tests.reference import oracle

OPTIMIZERS = [ACProp, AdaBelief, AdaShift, ADOPT, AvaGrad, LaProp]


@dataclass(frozen=True)
class Case:
    cls: type
    transcription: Any
    options: dict[str, Any] = field(default_factory=dict)
    lr: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def arguments(self) -> dict[str, Any]:
        return {"lr": self.lr, "betas": self.betas, "eps": self.eps, **self.options}

    def expected(self, start: Any, grads: Any) -> Any:
        arguments = self.arguments()
        if "decoupled_weight_decay" in arguments:
            arguments["decoupled"] = arguments.pop("decoupled_weight_decay")
        if self.cls is AdaShift:
            arguments.pop("variant", None)  # a transcription each
        return self.transcription(start, grads, **arguments)


DECAYS = {
    "coupled": {"weight_decay": 0.1},
    "decoupled": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "fixed": {"weight_decay": 0.001, "decoupled_weight_decay": "fixed"},
}


def _cases() -> dict[str, Case]:
    cases = {}
    for variant in ("script", "paper", "momentum", "rectified", "rectified_momentum"):
        options = {"variant": variant}
        cases[f"acprop-{variant}"] = Case(ACProp, oracle.acprop, options)
        cases[f"acprop-{variant}-betas"] = Case(ACProp, oracle.acprop, options, betas=(0.5, 0.9), eps=1e-4)
        cases[f"acprop-{variant}-skip"] = Case(ACProp, oracle.acprop, {**options, "skip_first_step": True})
        cases[f"acprop-{variant}-clip"] = Case(ACProp, oracle.acprop, {**options, "clip_update": 0.5})
        cases[f"acprop-{variant}-maximize"] = Case(ACProp, oracle.acprop, {**options, "maximize": True})
    for variant in ("script", "paper", "momentum"):
        cases[f"acprop-{variant}-amsgrad"] = Case(ACProp, oracle.acprop, {"variant": variant, "amsgrad": True})
    for variant in ("rectified", "rectified_momentum"):
        options = {"variant": variant, "degenerated_to_sgd": False}
        cases[f"acprop-{variant}-still"] = Case(ACProp, oracle.acprop, options)
    peers = [
        ("adabelief", AdaBelief, oracle.adabelief, {}),
        ("adashift", AdaShift, oracle.adashift, {}),
        ("adashift-1", AdaShift, oracle.adashift, {"keep_num": 1, "reduce": None}),
        ("adashift-3", AdaShift, oracle.adashift, {"keep_num": 3, "reduce": "max"}),
        ("adashift-script", AdaShift, oracle.adashift_script, {"variant": "script"}),
        ("adashift-script-1", AdaShift, oracle.adashift_script, {"variant": "script", "keep_num": 1, "reduce": None}),
        ("adopt", ADOPT, oracle.adopt, {}),
        ("adopt-unclipped", ADOPT, oracle.adopt, {"clip_power": None}),
        ("avagrad", AvaGrad, oracle.avagrad, {}),
        ("avagrad-paper", AvaGrad, oracle.avagrad, {"variant": "paper"}),
        ("laprop", LaProp, oracle.laprop, {}),
        ("laprop-paper", LaProp, oracle.laprop, {"variant": "paper"}),
    ]
    for name, cls, transcription, options in peers:
        cases[name] = Case(cls, transcription, options)
    for name, cls, transcription, options in [("acprop", ACProp, oracle.acprop, {}), *peers]:
        for decay, more in DECAYS.items():
            cases[f"{name}-{decay}"] = Case(cls, transcription, {**options, **more})
    return cases


CASES = [pytest.param(case, id=name) for name, case in _cases().items()]
PATHS = {
    "single": {"foreach": False}, "foreach": {"foreach": True}, "capturable": {"capturable": True},
    "fused": {"fused": True},
}  # fmt: skip


def paths(case: Case) -> list[str]:
    return [path for path in PATHS if path != "fused" or case.cls is ACProp]


CASES_AND_PATHS = [
    pytest.param(param.values[0], PATHS[path], id=f"{param.id}-{path}")
    for param in CASES
    for path in paths(param.values[0])
]
