"""What cannot be told yet: it waits for itself alone, in order, and not for ever."""

import pickle
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flows.notifications import recipients, teller, waiting
from flows.notifications.earlier_queue import QueuedEvent
from flows.notifications.flow import KeepLogic, TellerThread
from schemas.events import Event, decode
from schemas.times import now
from tests.flows.notifications.conftest import Telling, recorded
from tests.patience import until

BUSY = "busy@example.com"
STUCK = 110


@pytest.fixture
def every_recipient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "REMEMBERED_S", 0)


def payments_of(make: Any, customer: str, number: int) -> list[Event]:
    return [make.completed(make.payment(customer=customer)) for _ in range(number)]


def test_a_stuck_mailbox_stops_nobody_else(stage: Any, make: Any, telling: Telling) -> None:
    """Neither others, nor the same customer's short messages."""
    stage.gateway.recipients |= {"acct_busy": make.recipient(email=BUSY), "acct_ada": make.recipient()}
    telling.keep(*payments_of(make, "acct_busy", STUCK))
    telling.keep(*payments_of(make, "acct_ada", 10))
    until(lambda: sum(m["to"] == "ada@example.com" for m in stage.messages()) == 10)
    until(lambda: sum(m["channel"] == "sms" for m in stage.messages()) == STUCK + 10)
    assert telling.waiting() == STUCK


@pytest.mark.parametrize("mailbox", ["busy", "hang"])
def test_110_stuck_mailboxes_stop_nobody_else(stage: Any, make: Any, telling: Telling, mailbox: str) -> None:
    """As 110 accounts have them, that are refused for now or never answered for."""
    for number in range(STUCK):
        email = f"{mailbox}+{number}@example.com"
        stage.gateway.recipients[f"acct_{number}"] = make.recipient(email=email, phone=None)
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    telling.keep(*(event for n in range(STUCK) for event in payments_of(make, f"acct_{n}", 1)))
    telling.keep(*payments_of(make, "acct_ada", 10))
    until(lambda: len(stage.messages()) == 10)
    assert telling.waiting() == STUCK


def test_110_phones_that_hang_stop_nobody_else(stage: Any, make: Any, telling: Telling) -> None:
    """Nor the mails of their own owners."""
    for number in range(STUCK):
        stage.gateway.recipients[f"acct_{number}"] = make.recipient(phone="+15005550098")
    stage.gateway.recipients["acct_ada"] = make.recipient(email=None)
    telling.keep(*(event for n in range(STUCK) for event in payments_of(make, f"acct_{n}", 1)))
    telling.keep(*payments_of(make, "acct_ada", 10))
    until(lambda: sum(m["channel"] == "sms" for m in stage.messages()) == 10)
    assert telling.waiting() == STUCK
    until(lambda: len(stage.messages()) == STUCK + 10)


def test_a_stuck_number_stops_nobody_else(stage: Any, make: Any, telling: Telling) -> None:
    stuck = make.recipient(phone="+15005550099", email=None)
    stage.gateway.recipients |= {"acct_stuck": stuck, "acct_ada": make.recipient(email=None)}
    telling.keep(*payments_of(make, "acct_stuck", STUCK), *payments_of(make, "acct_ada", 10))
    until(lambda: len(stage.messages()) == 10)
    until(lambda: telling.waiting() == STUCK)


def test_what_waits_is_not_sent_once_its_recipient_is_erased(
    stage: Any, make: Any, telling: Telling, every_recipient_is_asked_for: None
) -> None:
    stage.gateway.recipients["acct_gone"] = make.recipient(email=BUSY, phone=None)
    telling.keep(*payments_of(make, "acct_gone", 3))
    until(lambda: len(stage.gateway.asked) > 1)  # once for all three, then at each try of a mail
    assert telling.waiting() == 3
    del stage.gateway.recipients["acct_gone"]
    until(lambda: telling.waiting() == 0)
    assert stage.messages() == []


def test_a_stuck_mailbox_costs_one_try_per_pause(
    stage: Any, make: Any, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    send = telling.teller._deliverer._mailer.send

    async def counted(mail: Any) -> None:
        tried.append(mail.message_id)
        await send(mail)

    monkeypatch.setattr(telling.teller._deliverer._mailer, "send", counted)
    stage.gateway.recipients["acct_busy"] = make.recipient(email=BUSY, phone=None)
    telling.keep(*payments_of(make, "acct_busy", STUCK))
    until(lambda: len(tried) == 3)
    assert len(set(tried)) == 1  # the first of the line; the others wait behind it
    assert telling.waiting() == STUCK


def test_pauses_grow_up_to_half_a_minute() -> None:
    pauses = [teller.pause_s(tries) for tries in (*range(9), 10_000)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_a_mail_server_that_is_gone_pauses_mail_alone(
    stage: Any, make: Any, start: Callable[..., Telling]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        telling = start(mail_host="127.0.0.1", mail_port=nobody.getsockname()[1], mail_tls="none")
        stage.gateway.recipients |= {f"acct_{n}": make.recipient() for n in range(20)}
        telling.keep(*(event for n in range(20) for event in payments_of(make, f"acct_{n}", 2)))
        until(lambda: len(stage.messages()) == 40)
        assert {m["channel"] for m in stage.messages()} == {"sms"}
        assert telling.waiting() == 40
        until(lambda: telling.teller._lanes["email"].away_reason == "smtp_unreachable")
    telling.close()
    back = start()
    until(lambda: not back.waiting())
    assert sum(m["channel"] == "email" for m in stage.messages()) == 40


@pytest.mark.usefixtures("every_recipient_is_asked_for")
def test_a_later_word_never_overtakes_an_earlier_one(stage: Any, make: Any, telling: Telling) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(email=BUSY, phone=None)
    payment = make.payment("authorized")
    captured = msgspec.structs.replace(payment, state="captured", status="succeeded")
    telling.keep(make.completed(payment, 3))
    until(lambda: telling.teller._waiting.next_due_s("email"))
    telling.keep(make.completed(captured, 4))
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    until(lambda: not telling.waiting())
    assert [m["subject"].split()[0] for m in stage.messages()] == ["Your", "You"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_gateway_in_trouble_is_asked_again(stage: Any, make: Any, telling: Telling, status: int) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    stage.gateway.status = status
    telling.keep(make.completed(make.payment()))
    until(lambda: len(stage.gateway.asked) > 1)
    assert telling.waiting() == 1
    stage.gateway.status = 200
    until(lambda: len(stage.messages()) == 2)


def test_what_waits_goes_on_after_a_restart(stage: Any, make: Any, start: Callable[..., Telling]) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(email=BUSY)
    events = payments_of(make, "acct_ada", 5)
    first = start()
    first.keep(*events)
    until(lambda: len(first.outcomes()) or first.waiting() == 5)
    first.close()
    stage.gateway.recipients["acct_ada"] = make.recipient()
    second = start()
    second.keep(*events)  # as after the loss of the recovery store
    until(lambda: not second.waiting())
    assert sorted(m["channel"] for m in stage.messages()) == ["email"] * 5 + ["sms"] * 5
    assert {m["copies"] for m in stage.messages()} == {1}


def test_topics_that_are_read_again_tell_nobody_anything(stage: Any, make: Any, telling: Telling) -> None:
    """Not even who wants more messages by now than then."""
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["email"]})
    events = payments_of(make, "acct_ada", 20)
    assert len(telling.tell(*events)) == 20
    stage.gateway.recipients["acct_ada"] = make.recipient()
    assert telling.tell(*events) == []
    assert len(stage.messages()) == 20


def test_nobody_is_told_of_yesterday_and_nothing_is_recorded_of_the_day_before(
    stage: Any, make: Any, telling: Telling
) -> None:
    """Of that nobody knows whether it was told."""
    stage.gateway.recipients["acct_ada"] = make.recipient()
    yesterday, before = (make.completed(make.payment(), 4, now() - timedelta(hours=h)) for h in (30, 50))
    told = telling.tell(yesterday, before)
    assert {(n.outcome, n.reason, n.event) for n in told} == {("suppressed", "too_old", yesterday.id)}
    assert stage.messages() == []


def test_patience_with_a_gateway_ends_in_a_dead_letter(
    stage: Any, make: Any, start: Callable[..., Telling]
) -> None:
    telling = start(notification_patience_s=0)
    stage.gateway.status = 503
    telling.keep(*payments_of(make, "acct_ada", 2))
    until(lambda: not telling.waiting())
    letters = [decode(record.headers, record.value).data for record in telling.records()]
    assert [(letter.partition, letter.offset, letter.reason) for letter in letters] == [  # type: ignore[union-attr]
        (3, n, "nobody could be told: gateway_503") for n in range(2)
    ]


def test_patience_with_a_mailbox_ends_in_a_record_of_each_message(
    stage: Any, make: Any, start: Callable[..., Telling]
) -> None:
    telling = start(notification_patience_s=0)
    stage.gateway.recipients["acct_ada"] = make.recipient(email=BUSY)
    events = payments_of(make, "acct_ada", STUCK)
    told = telling.tell(*events)
    mails = [n for n in told if n.channel == "email"]
    assert {n.event for n in mails} == {event.id for event in events}
    assert {(n.outcome, n.reason, n.address) for n in mails} == {("failed", "smtp_451", "b…@example.com")}
    assert {n.outcome for n in told if n.channel == "sms"} == {"delivered"}


def test_what_breaks_as_it_is_given_up_is_a_dead_letter(
    stage: Any, make: Any, start: Callable[..., Telling], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller, "record", lambda *_: 1 // 0)
    stage.gateway.recipients["acct_ada"] = make.recipient(
        channels={"transaction_completed": ["email"]}, email=BUSY
    )
    telling = start(notification_patience_s=0)
    telling.keep(*payments_of(make, "acct_ada", 1))
    until(lambda: not telling.waiting())
    letters = [decode(record.headers, record.value).data for record in telling.records()]
    assert [getattr(letter, "reason", None) for letter in letters] == ["cannot be told: ZeroDivisionError"]


def test_a_full_table_takes_no_more_until_there_is_room(
    stage: Any, make: Any, start: Callable[..., Telling], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller, "FULL", 5)
    telling = start(notification_patience_s=1)
    stage.gateway.status = 503
    began = now()
    telling.keep(*payments_of(make, "acct_ada", 5))
    assert now() - began >= timedelta(seconds=1)
    assert telling.waiting() < 5


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_text_that_may_have_gone_out_is_looked_for_first(
    stage: Any, make: Any, start: Callable[..., Telling], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the vendor's answer and our note of it."""

    def die(*_: Any) -> None:
        raise Killed

    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["sms"]})
    first = start()
    died: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("connectors.lasting.end_process", lambda name, _error: died.append(name))
        patch.setattr(waiting.Waiting, "answered", lambda *a: die() if a[1] == "sms" else None)
        first.keep(make.completed(make.payment()))
        until(lambda: died == ["teller"])
        first.close()
    second = start()
    until(lambda: not second.waiting())
    assert [n.outcome for n in second.outcomes()] == ["delivered"]
    assert len(stage.messages()) == 1


def test_the_queue_of_an_earlier_release_is_taken_in(stage: Any, make: Any, telling: Telling) -> None:
    """Bytewax pickled it: a snapshot names the class as the release called it that wrote it."""
    stage.gateway.recipients["acct_ada"] = make.recipient()
    record, event = recorded(make.completed(make.payment()))
    written = pickle.dumps([QueuedEvent(record, event, now(), now(), 2)], protocol=0)
    for name in (b"retry_queue\nQueuedEvent", b"backlog\nJob"):
        snapshot = written.replace(b"earlier_queue\nQueuedEvent", name)
        assert name in snapshot
        KeepLogic(TellerThread(telling.teller, stage.loop_thread, lambda: None), pickle.loads(snapshot))
    until(lambda: not telling.waiting())
    assert len(stage.messages()) == 2
