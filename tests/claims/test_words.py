"""What a reader sees first: the count by kind of test, and the findings, none of which says more than its row."""

import re
from dataclasses import replace

import pytest

from acprop.report import claims
from acprop.report.claims import rules, words


def rows():
    return claims.ledger([])


def test_the_tested_rows_come_first_and_the_others_are_no_part_of_them():
    every = rows()
    tested, fitted, own, untested, *_ = every
    some = [
        replace(tested, kind=rules.TESTED, verdict=rules.REPRODUCED, by_chance=True),
        replace(fitted, kind=rules.FITTED, verdict=rules.REPRODUCED),
        replace(own, kind=rules.OWN, verdict=rules.NOT_REPRODUCED, by_chance=True),
        replace(untested, verdict=rules.SMALL_SCALE),
    ]
    text = claims.summary(some)
    assert text.startswith(
        "Of 4 claims, 1 were tested by a criterion that was not fitted to the outcome: 1 reproduced. Of "
        "the rest, 1 of 1 criteria fitted "
        "afterwards holds, 0 of 1 tests at settings of our own hold, 1 run at small scale only, 0 not run. 2 verdicts "
        "rest on random numbers, each false with a chance of at most 5%: 0.1 false ones are to be expected at most."
    )
    header = next(line for line in text.splitlines() if line.startswith("| claims about"))
    cells = [cell.strip() for cell in header.split("|")]
    assert cells[2] == rules.REPRODUCED
    assert cells[-3:-1] == [rules.SMALL_SCALE, rules.NOT_RUN]


def test_five_findings_each_with_its_rows():
    found = claims.findings(rows())
    assert len(found) == 5
    by_id = {row.id: row for row in rows()}
    for text, names in zip(found, words.FINDINGS, strict=True):
        links = re.findall(r"\[([^]]+)\]\(results/claims\.md#([^)]+)\)", text)
        assert [name for name, _ in links] == list(names)
        assert all(anchor == words.anchor(by_id[name]) for name, anchor in links)
        assert all(by_id[name].claim in text for name in names)


@pytest.mark.parametrize("verdict", rules.VERDICTS)
def test_a_finding_says_what_its_row_says(verdict):
    row = replace(rows()[0], id="method/authors-steps", verdict=verdict, ours="so and so much", published="as they say")
    (text, *_) = claims.findings([row])
    numbers = "as they say" if verdict == rules.CONTRADICTED else "so and so much"
    assert text == (
        f"*{row.claim}* {words.SAYS[verdict]} ({numbers}) "
        "[method/authors-steps](results/claims.md#method-authors-steps)."
    )
    holds = verdict in (rules.REPRODUCED, rules.CONSISTENT)
    assert words.SAYS[verdict].startswith("holds") == holds, "only what holds is said to hold"


def test_recalled_claims_say_so():
    every = {row.id: row for row in rows()}
    assert every["fig1/adam"].recalled
    assert every["theorem/faster"].recalled
    assert not every["fig1/adam-fitted"].recalled
    assert not every["table2/resnet18/acprop"].recalled
    assert every["table5/cifar10-wrn28_10/acprop"].recalled
    for row in every.values():
        assert "the paper states" not in row.claim
        assert row.kind in rules.KINDS
    assert {row.kind for row in every.values() if row.part in ("fig2", "fig4", "rosenbrock", "theorem", "fig9")} == {
        rules.OWN
    }
