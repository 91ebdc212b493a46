"""What waits: in order, bounded, and not for ever."""

import pickle
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.records import Record
from flows.notifications import recipients
from flows.notifications.backlog import FULL, Backlog
from flows.notifications.courier import Courier
from flows.notifications.wiring import open_courier
from schemas.events import Event, decode, encode
from schemas.times import now


@pytest.fixture
def courier(stage: Any) -> Iterator[Courier]:
    courier = stage.background.run(open_courier(stage.settings))
    yield courier
    stage.background.run(courier.close())


@pytest.fixture
def backlog(courier: Courier) -> Backlog:
    return Backlog(courier, timedelta(hours=1), [])


def recorded(event: Event, offset: int = 0) -> tuple[Record, Event]:
    headers, value = encode(event)
    return Record("payments.v1", 3, offset, b"fp_1", headers, value, 0), event


def make_due(backlog: Backlog, later: timedelta = timedelta(0)) -> None:
    for job in backlog.jobs():
        job.due = now() + later


def test_what_is_told_leaves_nothing_behind(stage: Any, make: Any, backlog: Backlog) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    written = stage.background.run(backlog.work([recorded(make.completed(make.payment()))]))
    assert [record.topic for record in written] == ["notifications.v1", "notifications.v1"]
    assert [decode(r.headers, r.value).data.outcome for r in written] == ["delivered", "delivered"]
    assert (backlog.jobs(), backlog.due()) == ([], None)


@pytest.fixture
def every_recipient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "REMEMBERED_S", 0)


@pytest.mark.usefixtures("every_recipient_is_asked_for")
def test_a_later_word_never_overtakes_an_earlier_one(stage: Any, make: Any, backlog: Backlog) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(email="busy@example.com", phone=None)
    payment = make.payment("authorized")
    pending = recorded(make.completed(payment, 3))
    done = recorded(make.completed(msgspec.structs.replace(payment, state="captured", status="succeeded"), 4))
    assert stage.background.run(backlog.work([pending])) == []
    make_due(backlog, timedelta(minutes=30))
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    stage.background.run(backlog.work([done]))
    assert stage.messages() == []  # the first one is not due yet
    make_due(backlog)
    stage.background.run(backlog.work([]))
    assert [("authorized" in m["subject"], "paid" in m["subject"]) for m in stage.messages()] == [
        (True, False),
        (False, True),
    ]


def test_another_payment_does_not_wait(stage: Any, make: Any, backlog: Backlog) -> None:
    stage.gateway.recipients["acct_busy"] = make.recipient(email="busy@example.com", phone=None)
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    events = [make.completed(make.payment(customer=who)) for who in ("acct_busy", "acct_ada")]
    stage.background.run(backlog.work([recorded(event) for event in events]))
    assert [m["to"] for m in stage.messages()] == ["ada@example.com"]
    assert [job.event for job in backlog.jobs()] == events[:1]


def test_the_jobs_left_go_on_after_a_restart(stage: Any, make: Any, courier: Courier, backlog: Backlog) -> None:
    stage.gateway.status = 503
    stage.background.run(backlog.work([recorded(make.completed(make.payment()))]))
    kept = pickle.loads(pickle.dumps(backlog.jobs()))  # as Bytewax keeps it
    again = Backlog(courier, timedelta(hours=1), kept)
    stage.gateway.status = 200
    stage.gateway.recipients["acct_ada"] = make.recipient()
    make_due(again)
    assert len(stage.background.run(again.work([]))) == 2


def test_pauses_grow(stage: Any, make: Any, backlog: Backlog) -> None:
    stage.gateway.status = 503
    work = [recorded(make.completed(make.payment()))]
    for pause in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30):
        begun = now()
        stage.background.run(backlog.work(work))
        due = backlog.due()
        assert due is not None
        assert due - now() <= timedelta(seconds=pause) <= due - begun
        make_due(backlog)
        work = []


def test_patience_ends_in_a_dead_letter_and_the_flow_goes_on(stage: Any, make: Any, courier: Courier) -> None:
    impatient = Backlog(courier, timedelta(0), [])
    stage.gateway.status = 503
    (letter,) = stage.background.run(impatient.work([recorded(make.completed(make.payment()), 41)]))
    assert letter.topic == "dead_letter.v1"
    data = decode(letter.headers, letter.value).data
    assert (data.partition, data.offset, data.reason) == (3, 41, "nobody could be told: gateway_503")
    assert backlog_is_empty(impatient)


def test_an_event_that_breaks_us_is_set_aside_without_its_error(stage: Any, make: Any, backlog: Backlog) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    events = [make.completed(make.payment(currency="XXX")), make.completed(make.payment())]
    written = stage.background.run(backlog.work([recorded(event) for event in events]))
    assert sorted(r.topic for r in written) == ["dead_letter.v1", "notifications.v1", "notifications.v1"]
    letter = next(decode(r.headers, r.value).data for r in written if r.topic == "dead_letter.v1")
    assert letter.reason == "cannot be told: UnknownCurrency"
    assert backlog_is_empty(backlog)


def test_a_full_backlog_takes_no_more_until_there_is_room(stage: Any, make: Any, courier: Courier) -> None:
    stage.gateway.status = 503
    patience = timedelta(seconds=2)
    backlog = Backlog(courier, patience, [])
    begun = now()
    written = stage.background.run(backlog.work([recorded(make.completed(make.payment())) for _ in range(FULL)]))
    assert now() - begun >= patience
    assert len(written) + len(backlog.jobs()) == FULL
    assert len(backlog.jobs()) < FULL


def backlog_is_empty(backlog: Backlog) -> bool:
    return backlog.jobs() == []
