"""A row of the ledger."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One claim. Field by field what claims.csv shows.

    kind: what sort of test it is (rules.KINDS). recalled: the claim or its criterion is remembered from the paper and
    not checked against its text. by_chance: the verdict may be false by chance. mutants: the wrong optimizers that pass
    the same test, None where the question is not asked. runs: folders under the root of the runs.
    """

    id: str
    part: str
    claim: str
    published: str
    published_value: float | None
    published_std: float | None
    margin: float | None
    source: str
    run_by: str
    command: str
    kind: str
    recalled: bool
    verdict: str
    ours: str
    small: str
    value: float | None
    std: float | None
    low: float | None
    high: float | None
    n: int | None
    scale: str
    data: str
    by_chance: bool
    mutants: tuple[str, ...] | None
    runs: tuple[str, ...]
