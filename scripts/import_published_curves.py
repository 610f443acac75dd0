"""Imports the authors' published CIFAR-10 curves, so that Fig 6 draws them thin behind ours.

    python scripts/import_published_curves.py PATH

PATH is the `curve/` folder of the authors' repository: files named MODEL-OPTIMIZER-SETTINGS that hold `train_acc` and
`test_acc`, a value an epoch. Of several settings of one cell, the one with the published best and last accuracy is
taken, else the one with the highest best. Writes `$ACPROP_DATA/published_curves.csv`.
"""

import csv
import io
import pickle
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop.runs import UsageError, data_root, write_atomically
from experiments.cifar.report import CURVES_FILE, published

MODELS = {"vgg": "vgg11", "resnet": "resnet34", "densenet": "densenet121"}
Curve = dict[str, list[float]]


def read(path: Path) -> Curve:
    """`{"train_acc": [...], "test_acc": [...]}` of one file; nothing in it is executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {key: [float(value) for value in content[key]] for key in ("train_acc", "test_acc")}
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"PATH: {path} is not a curve file ({str(error).splitlines()[0]})") from error


def choose(candidates: list[Curve], reference: dict[str, str] | None) -> Curve:
    if reference:
        for curve in candidates:
            values = curve["test_acc"]
            if f"{max(values):.2f}" == reference["best"] and f"{values[-1]:.2f}" == reference["last"]:
                return curve
    return max(candidates, key=lambda curve: max(curve["test_acc"]))


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(f"usage: {Path(sys.argv[0]).name} PATH\n\n{__doc__}")
        return 0
    try:
        if len(arguments) != 1 or not Path(arguments[0]).is_dir():
            raise UsageError(f"PATH={' '.join(arguments)!r} is not a folder: give the authors' curve/ folder")
        cells: dict[tuple[str, str], list[Curve]] = {}
        for path in sorted(Path(arguments[0]).iterdir()):
            model, _, rest = path.name.partition("-")
            if path.is_file() and model in MODELS and "-" in rest:
                cells.setdefault((MODELS[model], rest.partition("-")[0].lower()), []).append(read(path))
        if not cells:
            raise UsageError(
                f"PATH={arguments[0]}: no file is named MODEL-OPTIMIZER-SETTINGS, MODEL one of {', '.join(MODELS)}"
            )
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    references = published("cifar10")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["model", "optimizer", "epoch", "train_top1", "test_top1"])
    for (model, optimizer), candidates in sorted(cells.items()):
        curve = choose(candidates, references.get((model, optimizer)))
        for epoch, (train, test) in enumerate(zip(curve["train_acc"], curve["test_acc"], strict=True), 1):
            writer.writerow([model, optimizer, epoch, train, test])
    write_atomically(data_root() / CURVES_FILE, buffer.getvalue())
    print(f"{len(cells)} curves -> {data_root() / CURVES_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
