"""Telling: by whom it is wanted, and what is recorded of it."""

from typing import Any

import pytest

from schemas.events import decode, derived_id
from tests.flows.notifications.conftest import Telling
from tests.patience import until


def test_a_customer_is_told_by_every_channel_they_want(stage: Any, telling: Telling, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    event = make.completed(make.payment(), sequence=7)
    told = {n.channel: (n.outcome, n.address) for n in telling.tell(event)}
    assert told == {"email": ("delivered", "a…@example.com"), "sms": ("delivered", "+1…06")}
    assert {(m["channel"], m["to"]) for m in stage.messages()} == {
        ("email", "ada@example.com"),
        ("sms", "+15005550006"),
    }


def test_the_record_names_the_event_and_the_sequence_it_told(stage: Any, telling: Telling, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["email"]})
    event = make.completed(make.payment("declined"), sequence=7)
    telling.keep(event)
    (mail,) = _until_caught(stage, 1)
    (record,) = telling.records()
    recorded = decode(record.headers, record.value)
    effect = derived_id(event.id, "notification.email")
    assert (recorded.id, recorded.type, recorded.subject) == (effect, "notification.recorded", event.subject)
    data: Any = recorded.data
    assert (data.event, data.sequence, data.message_id) == (event.id, 7, effect)
    assert data.caused_at == event.data.recorded_at
    assert mail["message_id"] == f"<{effect}@sluice.localhost>"
    assert "declined" in mail["subject"]


def test_who_wants_nothing_is_not_told_and_not_recorded(stage: Any, telling: Telling, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"refund": ["email"]})
    assert telling.tell(make.completed(make.payment())) == []
    assert telling.tell(make.completed(make.payment(customer="acct_nobody"))) == []
    assert stage.messages() == []


def test_a_refund_is_told_once_to_who_wants_to_know_of_refunds(stage: Any, telling: Telling, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    first, second = (make.refunded(make.payment(amount_refunded=500), 500, sequence=n) for n in (6, 7))
    assert {(n.kind, n.channel, n.outcome, n.sequence) for n in telling.tell(first)} == {
        ("refund", "email", "delivered", 6),
        ("refund", "sms", "delivered", 6),
    }
    assert telling.tell(first) == []
    assert len(stage.messages()) == 2
    assert len(telling.tell(second)) == 2
    assert len(stage.messages()) == 4


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_nobody_is_told_of_a_refund_that_gave_nothing_back(
    stage: Any, telling: Telling, make: Any, status: str
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    assert telling.tell(make.refunded(make.payment(), 500, status)) == []
    assert stage.messages() == []


def test_who_wants_to_know_of_payments_alone_is_not_told_of_refunds(
    stage: Any, telling: Telling, make: Any
) -> None:
    """As a customer starts."""
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["email"]})
    assert telling.tell(make.refunded(make.payment(), 500)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": None}, "no_address"),
        ({"email": None, "unconfirmed": ["email"]}, "not_confirmed"),
        ({"channels": {"transaction_completed": ["webhook"]}}, "not_available"),
    ],
)
def test_what_is_suppressed_says_why(
    stage: Any, telling: Telling, make: Any, changes: dict[str, Any], reason: str
) -> None:
    wanted = {"channels": {"transaction_completed": ["email"]}} | changes
    stage.gateway.recipients["acct_ada"] = make.recipient(**wanted)
    (notification,) = telling.tell(make.completed(make.payment()))
    assert (notification.outcome, notification.reason) == ("suppressed", reason)
    assert stage.messages() == []


@pytest.mark.parametrize(
    ("changes", "channel", "reason"),
    [({"email": "bounce@example.com"}, "email", "smtp_550"), ({"phone": "+15005550001"}, "sms", "sms_21211")],
)
def test_a_final_refusal_is_recorded_and_the_other_channel_told(
    stage: Any, telling: Telling, make: Any, changes: dict[str, Any], channel: str, reason: str
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(**changes)
    told = {n.channel: n for n in telling.tell(make.completed(make.payment()))}
    assert (told[channel].outcome, told[channel].reason) == ("failed", reason)
    assert len(stage.messages()) == 1


def test_a_burst_of_one_customer_is_one_question(stage: Any, telling: Telling, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={})
    for _ in range(10):
        telling.tell(*(make.completed(make.payment()) for _ in range(5)))
    assert len(stage.gateway.asked) < 5


def test_the_token_is_kept_and_renewed_when_it_is_refused(stage: Any, telling: Telling, make: Any) -> None:
    stage.gateway.recipients |= {"acct_1": make.recipient(channels={}), "acct_2": make.recipient(channels={})}
    telling.tell(make.completed(make.payment(customer="acct_1")))
    stage.gateway.forget_tokens()
    telling.tell(make.completed(make.payment(customer="acct_2")))
    assert stage.gateway.tokens_given == 2


def test_an_account_id_cannot_lead_elsewhere(stage: Any, telling: Telling, make: Any) -> None:
    assert telling.tell(make.completed(make.payment(customer="../../v1/me?x="))) == []
    assert stage.gateway.asked == ["../../v1/me?x="]


def test_an_event_that_breaks_us_is_set_aside_without_its_error(stage: Any, make: Any, telling: Telling) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    telling.keep(make.completed(make.payment(currency="XXX")), make.completed(make.payment()))
    _until_caught(stage, 1)
    letters = [decode(r.headers, r.value).data for r in telling.records() if r.topic == "dead_letter.v1"]
    assert [letter.reason for letter in letters if hasattr(letter, "reason")] == [
        "cannot be told: UnknownCurrency"
    ]


class _Broken(Exception):
    pass


@pytest.mark.parametrize("part", ["Recipients.ask", "suppressed", "render_message", "decode"])
def test_whatever_breaks_on_the_way_to_a_customer_ends_in_a_dead_letter_and_not_the_flow(
    stage: Any, make: Any, start: Any, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def breaks(*_: Any) -> None:
        raise _Broken

    by_mail = make.recipient(channels={"transaction_completed": ["email"]})
    stage.gateway.recipients |= {"acct_ada": by_mail, "acct_bob": by_mail}
    with monkeypatch.context() as patch:
        module = "delivery" if part == "render_message" else "teller"
        patch.setattr(f"flows.notifications.{module}.{part}", breaks)
        telling = start()
        telling.keep(make.completed(make.payment()))
        until(lambda: not telling.waiting())
    letters = [decode(record.headers, record.value).data for record in telling.records()]
    assert [getattr(letter, "reason", None) for letter in letters] == ["cannot be told: _Broken"]
    assert [n.outcome for n in telling.tell(make.completed(make.payment(customer="acct_bob")))] == ["delivered"]


def _until_caught(stage: Any, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = until(lambda: [m for m in [stage.messages()] if len(m) == number])[0]
    return found
