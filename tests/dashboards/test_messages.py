"""The figures of the page Notifications against the messages that were written, and what people look for there."""

from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from dashboards.look import Look
from dashboards.message_tiles import (
    DELIVERY_TIME,
    LATEST_FAILURES,
    MESSAGES_COURSE,
    MESSAGES_OF,
    SENT_MESSAGES,
    WHY_NOT,
    plain_reason,
)
from dashboards.views.notifications import sought
from flows.analytics.ingest import ingest
from schemas.events import Event, new_event
from schemas.ids import new_id
from schemas.notifications import Channel, Notification
from schemas.times import now

# Channel, kind, outcome, reason, address, milliseconds after the event.
SAID = [
    ("email", "transaction_completed", "delivered", None, "c…@example.com", 100),
    ("email", "transaction_completed", "delivered", None, "c…@example.com", 300),
    ("email", "refund", "failed", "smtp_550", "a…@example.com", 900),
    ("sms", "transaction_completed", "suppressed", "rate", "+1…06", 5),
    ("sms", "transaction_completed", "delivered", None, "+1…06", 2000),
    ("sms", "refund", "failed", "sms_21610", "+1…06", 70),
    ("webhook", "refund", "suppressed", "not_available", "", 1),
]


def message(number: int, at: datetime, *said: Any) -> Event:
    channel, kind, outcome, reason, address, ms = said
    told = Notification(
        f"pay_{number}", new_id("evt"), 2, kind, channel, address, outcome, reason, f"msg_{number}", at,
        at - timedelta(milliseconds=ms),
    )  # fmt: skip
    return new_event("notification.recorded", "/", told.payment, told, at, told.message_id)


def test_every_figure_is_that_of_the_messages_of_the_time(shop: Any) -> None:
    moment, long_ago = now() - timedelta(seconds=30), now() - timedelta(days=3)
    events = [message(n, moment - timedelta(seconds=n), *said) for n, said in enumerate(SAID)]
    events += [message(n + 100, long_ago, *said) for n, said in enumerate(SAID)]
    written = [*events, *events]  # each is told twice
    shop.warehouse.write([ingest(shop._record("notifications.v1", event)) for event in written])
    reader, look = shop.reader(), Look("24h")

    def ask(tile: Any, id: str = "") -> list[tuple[Any, ...]]:
        return reader.query(tile.statement(look, id)).rows

    assert ask(SENT_MESSAGES) == [
        ("email", "transaction_completed", 2, 0, 0),
        ("email", "refund", 0, 0, 1),
        ("sms", "transaction_completed", 1, 1, 0),
        ("sms", "refund", 0, 0, 1),
        ("webhook", "refund", 0, 1, 0),
    ]
    assert [sum(row[at] for row in ask(MESSAGES_COURSE)) for at in (1, 2, 3)] == [3, 2, 2]
    assert {row[:4] for row in ask(WHY_NOT)} == {
        ("smtp_550", "failed", "email", 1),
        ("sms_21610", "failed", "sms", 1),
        ("rate", "suppressed", "sms", 1),
        ("not_available", "suppressed", "webhook", 1),
    }
    assert ask(DELIVERY_TIME) == [("email", 2, 200.0, 298.0), ("sms", 1, 2000.0, 2000.0)]
    assert [row[6] for row in ask(LATEST_FAILURES)] == ["pay_2", "pay_5"]
    assert [row[6] for row in ask(MESSAGES_OF, sought("carol@example.com"))] == ["pay_0", "pay_1"]
    assert [row[1:3] for row in ask(MESSAGES_OF, sought("pay_3"))] == [("suppressed", "rate")]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("pay_7", "pay_7"),
        ("carol@example.com", "c…@example.com"),
        ("+1 500 555 0006", "+1…06"),
        ("c…@example.com", "c…@example.com"),
        ("", ""),
    ],
)
def test_no_persons_address_gets_into_the_pages_own(asked: str, kept: str) -> None:
    assert sought(asked) == kept


def test_reasons_are_sentences() -> None:
    assert plain_reason("smtp_550") == "The mail server refused it (550)"
    assert plain_reason("smtp_451") == "The mail server put it off for too long (451)"
    assert plain_reason("sms_30007") == "The SMS provider refused it (30007)"
    assert plain_reason("something_new") == "something new"
    assert plain_reason(None) == "–"
    assert set(get_args(Channel)) == {"email", "sms", "webhook"}, "each has a name on the page"
