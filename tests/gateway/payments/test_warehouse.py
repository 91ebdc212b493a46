"""The warehouse at any id of the outbox is what the books were at that id, also where all is told again."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from connectors.records import Record
from gateway.books.outbox import OutboxRow, newest_id, outbox
from gateway.books.sql import Statement
from gateway.events.outbox_relay import row_headers
from tests.flows.analytics.conftest import Kept
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_captures_in_parts import capture
from tests.gateway.payments.test_refunds import paid

DECLINED = "4000000000009995"

# What both are asked: of the books, and of the warehouse. What is being sent is told once it has an end.
QUESTIONS = {
    "SELECT id, state, amount, amount_captured, amount_refunded, processor FROM payments": (
        "SELECT id, state, amount, amount_captured, amount_refunded, processor FROM payments"
    ),
    "SELECT id, payment_id, status, amount FROM refunds": "SELECT id, payment, status, amount FROM refunds",
    "SELECT id, kind, status, processor, amount, sequence FROM operations WHERE status <> 'sending'": (
        "SELECT id, kind, status, processor, amount, sequence FROM operations"
    ),
    "SELECT a.id, a.payment_id, a.number FROM attempts a WHERE EXISTS"
    " (SELECT 1 FROM operations o WHERE o.attempt_id = a.id AND o.status <> 'sending')": (
        "SELECT id, payment, number FROM attempts"
    ),
    "SELECT source_id, account, amount, currency FROM postings": (
        "SELECT operation, account, amount, currency FROM ledger"
    ),
    "SELECT account, currency, CAST(sum(amount) AS BIGINT), count(*) FROM postings GROUP BY account, currency": (
        "SELECT account, currency, amount, entries FROM balances"
    ),
    "SELECT id, payment_id, kind, decision, decided_by FROM reviews": (
        "SELECT id, payment, kind, decision, decided_by FROM reviews"
    ),
}

Answers = dict[str, list[tuple[Any, ...]]]

_until = Statement(select(outbox).order_by(outbox.c.id))


def _told(conn: Connection) -> list[OutboxRow]:
    return [OutboxRow(*row) for row in _until(conn)]


def _books(conn: Connection) -> tuple[int, Answers]:
    """The newest id of the outbox, and what the books answer, in one transaction."""
    found = {sql: [tuple(row) for row in conn.exec_driver_sql(sql)] for sql in QUESTIONS}
    return newest_id(conn), {sql: sorted(rows, key=repr) for sql, rows in found.items()}


def _record(row: OutboxRow, offset: int) -> Record:
    headers: Any = row_headers(row)
    return Record(row.topic, 0, offset, row.key.encode(), headers, row.value, row.recorded_at // 1000)


async def _days_work(shop: Shop) -> AsyncIterator[str]:
    """Payments with all that becomes of them; each step as it is done."""
    yield (await shop.pay(1000)).json["state"]
    yield (await shop.pay(payment_method={"type": "card", "card": await shop.card(DECLINED), "cvc": "100"})).json[
        "state"
    ]
    held = await paid(shop, "mastercard", capture="manual")
    yield "authorized"
    yield (await capture(shop, held, 300, final=False)).json["state"]
    yield (await capture(shop, held, 200)).json["state"]
    given_back = await shop.post(f"/v1/payments/{held}/refunds", {"amount": 150}, who="merchant")
    yield f"refund {given_back.json['status']}"
    shop.fault("visa", "apply_then_silence", times=1)
    silent = (await shop.pay(700)).json
    yield silent["state"]
    await shop.expire()
    await shop.expire()
    yield await shop.state(silent["id"])
    for decision in ("approve", "reject"):
        waits = (await shop.pay(60_000)).json
        yield waits["state"]
        [review] = [each for each in (await shop.get("/v1/reviews", "analyst"))["data"] if "decision" not in each]
        body = {"decision": decision, "reason": "known"}
        await shop.post(f"/v1/reviews/{review['id']}/decision", body, who="analyst")
        yield await shop.state(waits["id"])


async def test_the_warehouse_at_any_id_of_the_outbox_is_what_the_books_were(shop: Shop, tmp_path: Path) -> None:
    books, seen = shop.gateway.runtime.books, []
    stops = [await books.read(_books)]
    async for step in _days_work(shop):
        seen.append(step)
        stops.append(await books.read(_books))
    assert seen == [
        "captured", "declined", "authorized", "partially_captured", "captured", "refund succeeded",
        "unknown", "captured", "in_review", "captured", "in_review", "voided",
    ]  # fmt: skip

    rows, kept = await books.read(_told), Kept(tmp_path / "warehouse")
    records = [(row.id, _record(row, offset)) for offset, row in enumerate(rows)]
    done = 0
    for until, answers in stops:
        if told := [record for id, record in records if done < id <= until]:
            kept.write(*told)
        done = until
        assert _warehouse(kept) == answers
    again = [record for _, record in records]
    random.Random(1).shuffle(again)
    kept.write(*again[::2])
    kept.write(*again)
    assert _warehouse(kept) == stops[-1][1]
    assert kept.letters == []
    kept.warehouse.close()


def _warehouse(kept: Kept) -> Answers:
    return {books: sorted(kept.ask(ours), key=repr) for books, ours in QUESTIONS.items()}
