"""What fairseq lacks for the suite, loaded into it by `--user-dir`: nothing of fairseq is changed.

- `--optimizer suite --optimizer-node JSON` trains with any node of conf/optimizer/.
- Checkpoints load with torch's `weights_only=True`, the default since torch 2.6.
- Divergence is told to the runner in a line of its own, which child.py looks for; then fairseq ends.
"""

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqDecoder
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II, MISSING, OmegaConf

from acprop.runs.launch import build
from experiments.transformer.checkpoints import SAFE_GLOBALS
from experiments.transformer.child import DIVERGED


@dataclass
class SuiteOptimizerConfig(FairseqDataclass):
    optimizer_node: str = field(default=MISSING, metadata={"help": "a node of conf/optimizer/, as JSON"})
    lr: list[float] = II("optimization.lr")  # noqa: RUF009 - fairseq's idiom: the value of --lr


@register_optimizer("suite", dataclass=SuiteOptimizerConfig)
class SuiteOptimizer(FairseqOptimizer):
    """Any optimizer of conf/optimizer/. fairseq's scheduler sets its lr."""

    def __init__(self, cfg: SuiteOptimizerConfig, params: Any) -> None:
        super().__init__(cfg)
        self._optimizer = build("optimizer", OmegaConf.create(json.loads(cfg.optimizer_node)), params)

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Any = None) -> torch.Tensor:
        """fairseq's, before each step; where it is not finite the run has diverged."""
        norm = super().clip_grad_norm(max_norm, aggregate_norm_fn)
        if not norm.isfinite().all():
            tell_divergence(f"gradient norm is {norm.item()}")
        return norm


def tell_divergence(reason: str) -> NoReturn:
    print(f"{DIVERGED}{reason}", flush=True)
    os._exit(1)


def _end_with_error(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """In place of Python's own last words: an error that numbers which are not finite led to is a divergence."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FloatingPointError):
            tell_divergence(f"{cause}")
        cause = cause.__cause__ or cause.__context__
    if not all(output.isfinite().all() for output in last_output):
        tell_divergence("the net's output is not finite")


def _remember_output(module: torch.nn.Module, inputs: Any, output: Any) -> None:
    if isinstance(module, FairseqDecoder):
        found = output[0] if isinstance(output, tuple) else output
        last_output[:] = [found.detach()] if isinstance(found, torch.Tensor) else []


last_output: list[torch.Tensor] = []
torch.nn.modules.module.register_module_forward_hook(_remember_output)
sys.excepthook = _end_with_error


torch.serialization.add_safe_globals(SAFE_GLOBALS)
