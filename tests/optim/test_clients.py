"""The blocks of docs/clients.md, each in the real client, against a plain loop."""

import pytest

from scripts import optimizer_clients
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("client", optimizer_clients.TITLES)
def test_the_block_trains_as_a_plain_loop(client):
    found = optimizer_clients.in_a_process(client)
    assert found["moved"] > 1e-3
    assert found["gap"] < 1e-3


def test_every_block_is_run():
    assert set(optimizer_clients.BLOCKS) == {*optimizer_clients.TITLES, "plain"}


def test_the_groups_of_the_first_block():
    names = {"model": optimizer_clients.Regression()}
    exec(optimizer_clients.BLOCKS["plain"], names)
    assert [group["weight_decay"] for group in names["optimizer"].param_groups] == [1e-2, 0.0]


def test_the_table_lists_every_client():
    table = (ROOT / "docs" / "optimizers.md").read_text()
    for title in optimizer_clients.TITLES.values():
        assert f"| {title} |" in table
