"""What fairseq lacks for the suite, loaded into it by `--user-dir`: nothing of fairseq is changed.

- `--optimizer suite --optimizer-node JSON` trains with any node of conf/optimizer/.
- Checkpoints load with torch's `weights_only=True`, the default since torch 2.6.
- fairseq ends when the runner that started it does, however that ended.
"""

import json
import os
import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II, MISSING, OmegaConf

from acprop.runs.launch import build
from experiments.transformer.checkpoints import SAFE_GLOBALS


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


def _end_with_parent() -> None:
    """The runner holds the other end of stdin and never writes: it closes when the runner is gone, SIGKILL included."""
    os.read(0, 1)  # not sys.stdin: its lock, held by this thread, would be fatal when Python shuts down
    os._exit(1)


torch.serialization.add_safe_globals(SAFE_GLOBALS)
if not os.isatty(0):
    threading.Thread(target=_end_with_parent, daemon=True).start()
