"""Runs the blocks of docs/clients.md, each in its client; prints the clients' table of docs/optimizers.md.

    python scripts/optimizer_clients.py             # all, a process each
    python scripts/optimizer_clients.py lightning   # one: its version, and its distance to a plain loop as JSON

The distance is the largest difference of a weight after ten steps from the same start, over the largest move.
"""

import argparse
import copy
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader

from acprop import ACProp

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```python (\w+)\n(.*?)```", re.DOTALL)
BLOCKS: dict[str, str] = dict(BLOCK.findall((ROOT / "docs" / "clients.md").read_text()))
TITLES = {
    "transformers": "transformers.Trainer", "lightning": "Lightning", "accelerate": "accelerate", "torch": "FSDP2",
    "skorch": "skorch", "timm": "timm",
}  # fmt: skip
STEPS, LR = 10, 1e-3


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": nn.functional.mse_loss(self.layers(x), labels)}


def run(client: str) -> dict[str, Any]:
    """The block of a client, from the same weights as a plain loop."""
    torch.manual_seed(0)
    model, x = Regression(), torch.randn(8, 4)
    data: Any = [{"x": one, "labels": one[:1] * one[1:2]} for one in x]
    start, plain = copy.deepcopy(model), copy.deepcopy(model)
    batch = next(iter(DataLoader(data, batch_size=8)))
    optimizer = ACProp(plain.parameters(), lr=LR)
    for _ in range(STEPS):
        optimizer.zero_grad()
        plain(**batch)["loss"].backward()
        optimizer.step()
    if client == "torch":
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    with tempfile.TemporaryDirectory() as folder:
        loader: DataLoader[Any] = DataLoader(data, batch_size=8)
        names = {"model": model, "data": data, "loader": loader, "folder": folder, "torch": torch, "ACProp": ACProp}
        exec(compile(BLOCKS[client], f"docs/clients.md, {client}", "exec"), names)
    ended = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
    if client == "torch":
        dist.destroy_process_group()
    trios = list(zip(start.parameters(), plain.parameters(), ended, strict=True))
    moved = max((q - p).abs().max().item() for p, q, _ in trios)
    gap = max((q - r).abs().max().item() for _, q, r in trios)
    return {"version": version(client), "moved": moved, "gap": gap / moved}


def in_a_process(client: str) -> dict[str, Any]:
    """A client sets things for its whole process, so each has one."""
    done = subprocess.run(
        [sys.executable, __file__, client], capture_output=True, text=True, check=False, timeout=300, cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{client}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def table() -> str:
    lines = ["| client | version | works | distance to a plain loop after 10 steps |", "|---|---|---|---|"]
    for client, title in TITLES.items():
        found = in_a_process(client)
        works = "yes" if found["moved"] > LR and found["gap"] < 1e-3 else "no"
        lines.append(f"| {title} | {client} {found['version']} | {works} | {found['gap']:.1g} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", nargs="?", choices=[*TITLES, "plain"], help="only this one")
    if only := parser.parse_args().client:
        print(json.dumps(run(only)))
    else:
        print(f"Python {platform.python_version()}, torch {torch.__version__}, CPU\n\n{table()}")
