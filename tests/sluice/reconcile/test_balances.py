"""Balances of the ledger, by the books and by the warehouse: what is counted twice there is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from connectors.warehouse import WRITERS_READERS, WarehouseReader, tokens
from flows.analytics.settings import AnalyticsSettings
from gateway.books.opening import migrate, run_once
from gateway.books.postings import postings
from sluice.reconcile import balances
from sluice.reconcile.balances import LedgerAccount, Posted, posted, read_balances, unbalanced, unequal
from tests.flows.analytics.conftest import Kept, Log, own_ports
from tests.flows.analytics.lives import operated, operation
from tests.sluice.reconcile.test_stores import _posting, put_payments

VISA, MERCHANT = LedgerAccount("due:visa", "EUR"), LedgerAccount("due:m", "EUR")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Books of three payments of 5.00 EUR."""
    made = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(made)
    run_once(made, lambda conn: put_payments(conn, 3))
    return made


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[tuple[Kept, WarehouseReader]]:
    """A warehouse that was told of the same, and who asks it."""
    settings = AnalyticsSettings(data=tmp_path, port_offset=own_ports())
    kept, log = Kept(tmp_path, settings), Log()
    for number in range(3):
        sale = operation(id=f"op_{number}", payment=f"pay_{number}", merchant="m", amount=500)
        kept.write(log.event("operations.v1", operated(1, sale, {"due:visa": 500, "due:m": -500})))
    kept.warehouse.serve(f"quack:localhost:{settings.port('warehouse')}", tokens(settings, WRITERS_READERS))
    yield kept, WarehouseReader(settings, "reconcile")
    kept.warehouse.close()


def test_a_balance_that_is_not_the_books_is_named(
    url: str, warehouse: tuple[Kept, WarehouseReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, reader = warehouse
    cut = run_once(url, posted, readonly=True)
    assert cut == {VISA: Posted(1500, 3), MERCHANT: Posted(-1500, 3)}
    assert unequal(cut, read_balances(reader), url) == []
    monkeypatch.setattr(balances, "PAGE", 1)
    kept.ask("UPDATE store.balances SET amount = amount - 500 WHERE account = 'due:m'")
    told = read_balances(reader)
    assert told == {VISA: 1500, MERCHANT: -2000}
    assert [str(each) for each in unequal(cut, told, url)] == ["due:m EUR (books -1500, warehouse -2000)"]


def test_an_account_that_only_one_of_them_has_is_named(url: str) -> None:
    cut = run_once(url, posted, readonly=True)
    told = {VISA: 1500, LedgerAccount("due:paypal", "USD"): 7}
    assert [(each.account, each.books, each.warehouse) for each in unequal(cut, told, url)] == [
        (MERCHANT, -1500, 0),
        (LedgerAccount("due:paypal", "USD"), 0, 7),
    ]


def test_what_was_posted_since_the_cut_is_no_difference(url: str) -> None:
    cut = run_once(url, posted, readonly=True)
    later = [_posting("pay_000009", *entry) for entry in (("due:visa", 500), ("due:m", -500))]
    run_once(url, lambda conn: conn.execute(insert(postings), later) and None)
    assert unequal(cut, {VISA: 2000, MERCHANT: -1500, LedgerAccount("due:x", "EUR"): 1}, url)[0].books == 0


def test_each_currency_adds_up_to_zero() -> None:
    assert unbalanced({VISA: Posted(5, 1), MERCHANT: Posted(-5, 1)}) == {}
    assert unbalanced({VISA: Posted(5, 1), LedgerAccount("due:m", "USD"): Posted(-5, 1)}) == {"EUR": 5, "USD": -5}
