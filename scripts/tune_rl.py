"""Writes conf/tuned/rl from the sweep's records: `make rl-sweep` runs them, the rule is experiments.rl.sweep.scores.

python scripts/tune_rl.py
"""

import argparse
import sys

from acprop.report.records import by_budget, file_name
from acprop.runs import Record, UsageError, require, runs_root, write_atomically
from acprop.runs.launch import CONF
from experiments.rl.sweep import scores


def main(arguments: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    written = 0
    for (dataset, scale), records in by_budget("rl").items():
        sweep = [record for record in records if record.config["figure"] == "sweep"]
        for model in sorted({record.summary["model"] for record in sweep}):
            group = [record for record in sweep if record.summary["model"] == model]
            written += write(
                model, group, file_name("rl_sweep" if model == "dqn" else f"rl_sweep-{model}", dataset, scale)
            )
    require(written > 0, "ACPROP_RUNS", str(runs_root()), "no records of figure=sweep; `make rl-sweep` makes them")


def write(model: str, records: list[Record], table: str) -> int:
    """One file an optimizer, with the evidence; returns how many."""
    seeds = ", ".join(map(str, sorted({record.summary["seed"] for record in records})))
    result = scores(records)
    for optimizer, worth in result.items():
        setting, score = next(iter(worth.items()))
        values = ", ".join(f"{key}: {_yaml(value)}" for key, value in setting)
        path = CONF / "tuned" / "rl" / model / f"{optimizer}.yaml"
        write_atomically(
            path,
            "# @package _global_\n"
            f"# Source: own sweep, results/tables/{table}.csv: mean return over training {score:.3f} on seed(s) "
            f"{seeds}, the best of {len(worth)} settings\n"
            f"optimizer: {{{values}}}\n",
        )
        print(path)
    return len(result)


def _yaml(value: float) -> str:
    """`1.0e-3`, as conf/ has it: YAML reads `1e-3` as a word."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if 0 < abs(value) < 0.1 else str(float(value))


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
