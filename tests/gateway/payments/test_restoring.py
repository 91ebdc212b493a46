"""Books that lost what came after a copy are as they were once the topics' events are written back."""

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from connectors.kafka import producer
from gateway.books import accounts, cards, destructions, restored
from gateway.books.accounts import Account
from gateway.books.cards import CardRow
from gateway.books.labels import LabelRow, insert_label, labels_of
from gateway.books.opening import run_once
from gateway.books.operations import select_open
from gateway.books.outbox import OutboxRow, outbox
from gateway.books.payments import existing_payment
from gateway.books.tables import metadata
from gateway.events.outbox_relay import row_headers
from gateway.payments.recovery_pools import sweep
from gateway.payments.restoring import RestoredPayment, restore_account, restore_payment
from gateway.payments.retold import ToldPayment, WhenAgain
from schemas.accounts import AccountChanged, AccountErased
from schemas.events import Event, decode, encode, new_event
from schemas.fraud import Label, Verdict
from schemas.operations import OperationEvent
from schemas.reviews import ReviewEvent
from schemas.times import now, steady_micros
from schemas.topics import RISK
from sluice.cli import main
from tests.gateway.databases import Databases, Kind
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.situations import payment
from tests.gateway.payments.test_answers_in_any_order import Life, any_result
from tests.gateway.payments.test_late_blocks import said
from tests.patience import eventually

# What no topic tells, or what counts how often a row was written.
LOST = {
    "payments": {
        "version",
        "wanted_processor",
        "return_url",
        "return_nonce",
        "reference",
        "description",
        "metadata",
        "redirect_url",
        "pending_reason",
        "recovery_point",
        "worker_id",
        "lease_until",
        "fingerprint",
        "updated_at",
        "risk_outcome",  # without the verdict, in these lives
    },
    "operations": {"checks", "pending_reason", "worker_id", "lease_until", "audit_head", "ordinal"},
    "attempts": set(),
    "refunds": {"reason", "pending_reason"},
    "reviews": {"reason"},
    "review_reasons": set(),
    "labels": {"id", "recorded_by", "recorded_at"},
    "postings": {"id"},
    "outbox": {"id", "published_at", "worker_id"},
}


def rows(conn: Connection, name: str) -> list[dict[str, Any]]:
    """The rows of a table in an order that does not depend on when they were written."""
    table = metadata.tables[name]
    kept = [column for column in table.c if column.name not in LOST[name]]
    found = [
        {key: _read(key, value) for key, value in row._mapping.items()} for row in conn.execute(select(*kept))
    ]
    return sorted(found, key=repr)


def _differing(had: list[dict[str, Any]], has: list[dict[str, Any]]) -> list[Any]:
    if len(had) != len(has):
        return [len(had), len(has)]
    return [(key, a[key], b[key]) for a, b in zip(had, has, strict=True) for key in a if a[key] != b[key]]


def _read(name: str, value: Any) -> Any:
    return msgspec.json.decode(value) if name in ("risk", "last_refusal") and value else value


def told_since(conn: Connection, after_id: int) -> tuple[ToldPayment, list[OutboxRow]]:
    found = [
        OutboxRow(*row) for row in conn.execute(select(outbox).where(outbox.c.id > after_id).order_by(outbox.c.id))
    ]
    events: list[Event] = [decode(row_headers(row), row.value) for row in found]
    told = ToldPayment(
        "pay",
        [event for row, event in zip(found, events, strict=True) if row.topic == "payments.v1"],
        [event.data for event in events if isinstance(event.data, OperationEvent)],
        [event.data for event in events if isinstance(event.data, ReviewEvent)],
    )
    return told, found


def restore(conn: Connection, told: ToldPayment, found: list[OutboxRow]) -> RestoredPayment:
    result = restore_payment(conn, told, WhenAgain(steady_micros(), steady_micros()))
    missing = restored.missing_events(conn, [row.event_id for row in found])
    restored.put_events(conn, [row for row in found if row.event_id in missing])
    return result


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_came_after_a_copy_is_written_back_once(
    databases: Databases, database: Kind, data: st.DataObject
) -> None:
    with databases.transaction(database) as conn:
        _lives_and_loses(conn, data)


def _lives_and_loses(conn: Connection, data: st.DataObject) -> None:
    is_copied = data.draw(st.booleans())
    conn.exec_driver_sql("SAVEPOINT from_nothing")
    life = Life(conn, data, any_result)
    for _ in range(data.draw(st.integers(0, 8)) if is_copied else 0):
        life.move()
    copied = max(conn.execute(select(outbox.c.id)).scalars(), default=0) if is_copied else 0
    conn.exec_driver_sql("SAVEPOINT from_copy")
    for _ in range(data.draw(st.integers(0, 16))):
        life.move()
    told, found = told_since(conn, copied)
    if select_open(conn, "pay"):
        return
    had = {name: rows(conn, name) for name in LOST}
    conn.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {'from_copy' if is_copied else 'from_nothing'}")
    for _ in range(2):  # the second time there is nothing left to do
        restore(conn, told, found)
        has = {name: rows(conn, name) for name in LOST}
        for name in LOST:
            assert _differing(had[name], has[name]) == [], name


def test_an_account_is_what_was_told_of_it_last_and_an_erased_person_is_erased_again(conn: Connection) -> None:
    accounts.add(conn, Account(id="acc_a", role="customer", name="", created_at=0, updated_at=0, events=1))
    changed = AccountChanged("acc_a", 2, "analyst", True, None, now())
    assert restore_account(conn, changed, 1)
    account = accounts.bare_by_id(conn, "acc_a")
    assert account is not None
    assert (account.role, account.disabled_at is not None, account.events) == ("analyst", True, 2)
    assert not restore_account(conn, changed, 1)
    cards.upsert_card(conn, CardRow("card_a", "acc_a", "visa", "411111", "1111", 1, 2030, "fp", 0))
    row = msgspec.structs.replace(payment("captured"), customer_id="acc_a", description="a gift")
    restored.put_payment(conn, row)
    assert restore_account(conn, AccountErased("acc_a", "analyst", now()), 1)
    assert cards.select_any_card(conn, "card_a") is None
    assert existing_payment(conn, "pay").description is None
    assert accounts.bare_by_id(conn, "acc_a") is None
    assert destructions.due(conn, 1) == ["acc_a"]
    assert not restore_account(conn, AccountChanged("acc_unknown", 1, "admin", False, None, now()), 1)


def test_a_label_that_waited_in_the_copy_and_was_told_of_since_waits_no_more(conn: Connection) -> None:
    row = payment("captured")
    restored.put_payment(conn, row)
    said = {"payment_id": row.id, "merchant_id": row.merchant_id, "label": "good", "source": "bank"}
    waiting = {"id": "lbl_1", "state": "waiting", "waits_for": "source", "due_at": 9, "recorded_at": 1}
    insert_label(conn, msgspec.convert(said | waiting, LabelRow))
    told = Label(
        row.id, row.stream_key, row.merchant_id, "good", "bank", 100, "EUR", None, None, None, now(), now()
    )
    restore_payment(conn, ToldPayment(row.id, labels=[told]), WhenAgain(1, 1))
    assert [(label.id, label.state, label.due_at) for label in labels_of(conn, row.id)] == [
        ("lbl_1", "told", None)
    ]


async def _tell(shop: Shop, verdict: Verdict) -> None:
    headers, value = encode(new_event("risk.verdict", "/flows/fraud", verdict.payment, verdict, now()))
    sending = producer(shop.gateway.runtime.settings.kafka or "")
    sending.produce(RISK.name, value, verdict.payment, headers=headers)  # type: ignore[arg-type]
    await asyncio.to_thread(sending.flush)


async def _pay_and_follow_up(shop: Shop) -> None:
    """A payment that is refunded in part and labelled, and one that is given back once its block came late."""
    paid = (await shop.pay(1000)).json["id"]
    await shop.post(f"/v1/payments/{paid}/refunds", {"amount": 300}, who="merchant")
    await shop.post(f"/v1/payments/{paid}/labels", {"label": "good", "source": "bank"}, who="analyst")
    blocked = (await shop.pay(700)).json["id"]
    await _tell(shop, await said(shop, blocked))

    async def opened() -> Any:
        await sweep(shop.gateway.runtime)
        return (await shop.get("/v1/reviews", "analyst"))["data"]

    [case] = await eventually(opened)
    decision = {"decision": "reject", "reason": "stolen"}
    await shop.post(f"/v1/reviews/{case['id']}/decision", decision, who="analyst")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_books_that_were_put_back_get_from_kafka_what_came_after_the_copy(
    shop: Shop, tmp_path: Path
) -> None:
    runtime, other = shop.gateway.runtime, tmp_path / "other"
    other.mkdir()
    await shop.pay(500)
    with closing(sqlite3.connect(runtime.settings.data / "books.sqlite3")) as books:
        with closing(sqlite3.connect(other / "books.sqlite3")) as copy:
            books.backup(copy)
            copy.execute("UPDATE outbox SET published_at = NULL")  # as while they are on their way to Kafka
            copy.commit()
        await _pay_and_follow_up(shop)
        await eventually(lambda: books.execute("SELECT 1 FROM outbox WHERE published_at IS NULL").fetchall() == [])
    given = {"SLUICE_DATA": str(other), "SLUICE_KAFKA": runtime.settings.kafka}

    async def run() -> Any:
        return await asyncio.to_thread(CliRunner().invoke, main, ["restore", "--from-kafka"], env=given)

    async def finds_nothing() -> bool:
        return " 0 events" in (await run()).output

    first = await run()
    assert (first.exit_code, " 0 events" in first.output) == (0, False), first.output
    await eventually(finds_nothing)  # at once, but for what other tests' gateways still tell
    ids = [row["id"] for row in await runtime.books.read(rows, "payments")]
    had, has = (_about(ids, data / "books.sqlite3") for data in (runtime.settings.data, other))
    assert len(had["payments"]) == 3
    assert (len(had["reviews"]), len(had["labels"])) == (1, 2)
    for name in had:
        assert _differing(had[name], has[name]) == [], name
    assert _waiting(ids, other / "books.sqlite3") == [], "no gateway sends again what is on Kafka"


def _waiting(payment_ids: list[str], path: Path) -> list[str]:
    """The events of these payments that wait for Kafka."""
    with closing(sqlite3.connect(path)) as books:
        found = books.execute("SELECT subject_id, event_id FROM outbox WHERE published_at IS NULL").fetchall()
    return [event_id for subject_id, event_id in found if subject_id in payment_ids]


def _about(payment_ids: list[str], path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows about these payments alone: other tests have others on the same topics."""
    url, told = f"sqlite:///{path}", {*LOST} - {"review_reasons"}
    found = {name: run_once(url, partial(rows, name=name), readonly=True) for name in told}
    return {
        name: [row for row in kept if any(id in repr(row) for id in payment_ids)] for name, kept in found.items()
    }
