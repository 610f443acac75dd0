"""What a reader of the ledger sees first: the verdicts counted by the kind of test that they come from, five findings
in words, and which wrong optimizers would have passed."""

from collections import Counter
from collections.abc import Iterable, Sequence

from acprop.report import tasks
from acprop.report.artefacts import PARTS, Artefact, table
from acprop.report.claims import rules
from acprop.report.claims.row import Row
from acprop.report.style import look
from acprop.runs.record import Record

UNTESTED = (rules.SMALL_SCALE, rules.NOT_RUN)
JUDGED = tuple(verdict for verdict in rules.VERDICTS if verdict not in UNTESTED)


def mutants() -> list[str]:
    """The wrong optimizers that the tasks put to their exact tests."""
    return [name for module in tasks.claims().values() for name in getattr(module, "MUTANTS", ())]


def anchor(row: Row) -> str:
    """Where results/claims.md has the row."""
    return row.id.replace("/", "-")


def alike(row: Row) -> str:
    """Which wrong optimizers pass too, as the row tells it."""
    if row.mutants is None:
        return ""
    passing = ", ".join(_label(name) for name in row.mutants)
    return f"; others that pass: {passing}" if passing else "; no other passes"


def _label(name: str) -> str:
    return look(name).label if name == "sgd" or name not in mutants() else f"ACProp {look(name).label}"


# -- summary ---------------------------------------------------------------------------------------------------------


def judged(rows: Iterable[Row], kind: str) -> Counter[str]:
    """verdict -> number of rows of that kind of test that were judged at all."""
    return Counter(row.verdict for row in rows if row.kind == kind and row.verdict in JUDGED)


def headline(rows: Sequence[Row]) -> str:
    """The verdicts counted, those of real tests first, and how many of them may be false."""
    tested = judged(rows, rules.TESTED)
    told = ", ".join(f"{tested[verdict]} {verdict}" for verdict in JUDGED if tested[verdict]) or "none yet"
    rest = [
        f"{holding} of {total} {what} hold{'s' * (holding == 1)}"
        for kind, what in ((rules.FITTED, "criteria fitted afterwards"), (rules.OWN, "tests at settings of our own"))
        if (total := judged(rows, kind).total())
        for holding in [_holding(judged(rows, kind))]
    ]
    open_ = Counter(row.verdict for row in rows)
    rest += [f"{open_[verdict]} {verdict}" for verdict in UNTESTED]
    return (
        f"Of {len(rows)} claims, {tested.total()} were tested by a criterion that was not fitted to the outcome: {told}. Of the rest, "
        f"{', '.join(rest)}. {chance(rows)}"
    )


def summary(rows: Sequence[Row]) -> str:
    """The headline, the findings, and a table of the verdicts by part of the paper, as Markdown; README shows it."""
    header = ["claims about", *JUDGED, *(f"{kind}: hold" for kind in rules.KINDS[1:]), *UNTESTED]
    lines = [
        f"{headline(rows)} How a verdict is reached: docs/claims.md. Each claim with its published number, ours and "
        "the command that tests it: results/claims.md; with its run folders: results/claims.csv.",
        "",
        *(f"{number}. {text}" for number, text in enumerate(findings(rows), 1)),
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
    ]
    for part, title in PARTS.items():
        own = [row for row in rows if row.part == part]
        counted = judged(own, rules.TESTED)
        cells = [str(counted[verdict] or "") for verdict in JUDGED]
        for kind in rules.KINDS[1:]:
            found = judged(own, kind)
            cells.append(f"{_holding(found)} of {found.total()}" if found else "")
        verdicts = Counter(row.verdict for row in own)
        cells += [str(verdicts[verdict] or "") for verdict in UNTESTED]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _holding(counted: Counter[str]) -> int:
    return counted[rules.REPRODUCED] + counted[rules.CONSISTENT]


def chance(rows: Iterable[Row]) -> str:
    """How many verdicts may be false: each test of random numbers is wrong with at most its level."""
    tests = sum(row.by_chance for row in rows)
    return (
        f"{tests} verdict{'s' * (tests != 1)} rest{'s' * (tests == 1)} on random numbers, each false with a chance of "
        f"at most {rules.LEVEL:.0%}: {tests * rules.LEVEL:.1f} false ones are to be expected at most."
    )


# -- findings --------------------------------------------------------------------------------------------------------

# The rows that each sentence tells of, in its order.
FINDINGS = (
    ("method/authors-steps",),
    ("fig1/acprop-all-settings", "fig1/asynchrony", "fig1/any-asynchronous"),
    ("fig3/beyond-adashift-1", "fig3/beyond-every-adashift"),
    ("fig9/acprop-best",),
    ("abstract/better-than-adabelief", "abstract/better-than-sgd"),
)
SAYS = {
    rules.REPRODUCED: "holds", rules.CONSISTENT: "holds, though wrong optimizers pass the same test",
    rules.NOT_REPRODUCED: "does not hold", rules.CONTRADICTED: "is contradicted by the paper itself",
    rules.INCONCLUSIVE: "is open", rules.TOO_FEW: "cannot be decided with the runs there are",
    rules.SMALL_SCALE: "has run in small only, which says nothing of it", rules.NOT_RUN: "has not been run",
}  # fmt: skip


def findings(rows: Sequence[Row], page: str = "results/claims.md") -> list[str]:
    """A sentence for each of FINDINGS, each with its numbers and links, as Markdown. It says what its rows say: the
    claim, the verdict, and the numbers that the row gives."""
    return ["; ".join(_told(row, page) for row in found) + "." for found in told_of(rows)]


def told_of(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each sentence."""
    by_id = {row.id: row for row in rows}
    return [[by_id[name] for name in names if name in by_id] for names in FINDINGS]


def _told(row: Row, page: str) -> str:
    return f"*{row.claim}* {says(row)} [{row.id}]({page}#{anchor(row)})"


def says(row: Row) -> str:
    """Its verdict as a part of a sentence, with the numbers that it rests on."""
    numbers = row.published if row.verdict == rules.CONTRADICTED else row.ours
    return SAYS[row.verdict] + (f" ({numbers})" if numbers else "")


# -- mutants ---------------------------------------------------------------------------------------------------------


def mutants_table(rows: Sequence[Row], records: Iterable[Record]) -> list[Artefact]:
    """Which wrong optimizers pass the exact tests of ACProp: a row a claim, a column a wrong optimizer. None while no
    such test has run."""
    asked = [row for row in rows if row.mutants is not None]
    if not asked:
        return []
    by_folder = {record.folder: record for record in records}
    body = []
    for row in asked:
        assert row.mutants is not None
        others = ", ".join(look(name).label for name in row.mutants if name not in mutants())
        body.append([row.id, row.verdict, *("passes" if name in row.mutants else "" for name in mutants()), others])
    long: list[dict[str, object]] = [
        {"id": row.id, "verdict": row.verdict, **{name: name in (row.mutants or ()) for name in mutants()}}
        for row in asked
    ]
    caption = (
        f"What a wrong optimizer would have got: {len(asked)} exact tests against ACProp with one thing wrong each, "
        "and plain SGD. A test that one of them passes is called consistent with, and no more; last column: other "
        "optimizers that pass."
    )
    header = ["claim", "verdict", *(look(name).label for name in mutants()), "others"]
    used = [by_folder[folder] for row in asked for folder in row.runs]
    return [table("mutants", "method", caption, list({r.folder: r for r in used}.values()), header, body, long)]
