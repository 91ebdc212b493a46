"""What waits: in order, bounded, and not for ever."""

import pickle
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.records import Record
from flows.notifications import recipients
from flows.notifications.delivery import Notifier
from flows.notifications.flow import open_notifier
from flows.notifications.retry_queue import FULL, QueuedEvent, RetryQueue
from schemas.events import Event, decode, encode
from schemas.times import now


@pytest.fixture
def notifier(stage: Any) -> Iterator[Notifier]:
    notifier = stage.loop_thread.run(open_notifier(stage.settings))
    yield notifier
    stage.loop_thread.run(notifier.close())


@pytest.fixture
def queue(notifier: Notifier) -> RetryQueue:
    return RetryQueue(notifier, timedelta(hours=1), [])


def recorded(event: Event, offset: int = 0) -> tuple[Record, Event]:
    headers, value = encode(event)
    return Record("payments.v1", 3, offset, b"fp_1", headers, value, 0), event


def make_due(queue: RetryQueue, later: timedelta = timedelta(0)) -> None:
    for item in queue.queued():
        item.due = now() + later


def test_what_is_told_leaves_nothing_behind(stage: Any, make: Any, queue: RetryQueue) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    written = stage.loop_thread.run(queue.process([recorded(make.completed(make.payment()))]))
    assert [record.topic for record in written] == ["notifications.v1", "notifications.v1"]
    assert [decode(r.headers, r.value).data.outcome for r in written] == ["delivered", "delivered"]
    assert (queue.queued(), queue.due()) == ([], None)


@pytest.fixture
def every_recipient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "REMEMBERED_S", 0)


@pytest.mark.usefixtures("every_recipient_is_asked_for")
def test_a_later_word_never_overtakes_an_earlier_one(stage: Any, make: Any, queue: RetryQueue) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(email="busy@example.com", phone=None)
    payment = make.payment("authorized")
    pending = recorded(make.completed(payment, 3))
    done = recorded(make.completed(msgspec.structs.replace(payment, state="captured", status="succeeded"), 4))
    assert stage.loop_thread.run(queue.process([pending])) == []
    make_due(queue, timedelta(seconds=29))
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    stage.loop_thread.run(queue.process([done]))
    assert stage.messages() == []  # the first one is not due yet
    make_due(queue)
    stage.loop_thread.run(queue.process([]))
    assert [("authorized" in m["subject"], "paid" in m["subject"]) for m in stage.messages()] == [
        (True, False),
        (False, True),
    ]


def test_another_payment_does_not_wait(stage: Any, make: Any, queue: RetryQueue) -> None:
    stage.gateway.recipients["acct_busy"] = make.recipient(email="busy@example.com", phone=None)
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=None)
    events = [make.completed(make.payment(customer=who)) for who in ("acct_busy", "acct_ada")]
    stage.loop_thread.run(queue.process([recorded(event) for event in events]))
    assert [m["to"] for m in stage.messages()] == ["ada@example.com"]
    assert [item.event for item in queue.queued()] == events[:1]


def test_the_jobs_left_go_on_after_a_restart(stage: Any, make: Any, notifier: Notifier, queue: RetryQueue) -> None:
    stage.gateway.status = 503
    stage.loop_thread.run(queue.process([recorded(make.completed(make.payment()))]))
    kept = pickle.loads(pickle.dumps(queue.queued()))  # as Bytewax keeps it
    again = RetryQueue(notifier, timedelta(hours=1), kept)
    stage.gateway.status = 200
    stage.gateway.recipients["acct_ada"] = make.recipient()
    make_due(again)
    assert len(stage.loop_thread.run(again.process([]))) == 2


def test_pauses_grow(stage: Any, make: Any, queue: RetryQueue) -> None:
    stage.gateway.status = 503
    work = [recorded(make.completed(make.payment()))]
    for pause in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30):
        begun = now()
        stage.loop_thread.run(queue.process(work))
        due = queue.due()
        assert due is not None
        assert due - now() <= timedelta(seconds=pause) <= due - begun
        make_due(queue)
        work = []


def test_patience_ends_in_a_dead_letter_and_the_flow_goes_on(stage: Any, make: Any, notifier: Notifier) -> None:
    impatient = RetryQueue(notifier, timedelta(0), [])
    stage.gateway.status = 503
    (letter,) = stage.loop_thread.run(impatient.process([recorded(make.completed(make.payment()), 41)]))
    assert letter.topic == "dead_letter.v1"
    data = decode(letter.headers, letter.value).data
    assert (data.partition, data.offset, data.reason) == (3, 41, "nobody could be told: gateway_503")
    assert backlog_is_empty(impatient)


def test_an_event_that_breaks_us_is_set_aside_without_its_error(stage: Any, make: Any, queue: RetryQueue) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    events = [make.completed(make.payment(currency="XXX")), make.completed(make.payment())]
    written = stage.loop_thread.run(queue.process([recorded(event) for event in events]))
    assert sorted(r.topic for r in written) == ["dead_letter.v1", "notifications.v1", "notifications.v1"]
    letter = next(decode(r.headers, r.value).data for r in written if r.topic == "dead_letter.v1")
    assert letter.reason == "cannot be told: UnknownCurrency"
    assert backlog_is_empty(queue)


def test_a_full_backlog_takes_no_more_until_there_is_room(stage: Any, make: Any, notifier: Notifier) -> None:
    stage.gateway.status = 503
    patience = timedelta(seconds=2)
    queue = RetryQueue(notifier, patience, [])
    begun = now()
    written = stage.loop_thread.run(queue.process([recorded(make.completed(make.payment())) for _ in range(FULL)]))
    assert now() - begun >= patience
    assert len(written) + len(queue.queued()) == FULL
    assert len(queue.queued()) < FULL


def backlog_is_empty(queue: RetryQueue) -> bool:
    return queue.queued() == []


def test_the_queue_of_an_earlier_release_is_resumed(make: Any) -> None:
    """Bytewax pickles the queue: a snapshot names the class as the release called it that wrote it."""
    record, event = recorded(make.completed(make.payment()))
    item = QueuedEvent(record, event, now(), now(), 2)
    renamed = (b"flows.notifications.backlog", b"Job")
    snapshot = pickle.dumps([item], protocol=0).replace(
        b"flows.notifications.retry_queue\nQueuedEvent", b"\n".join(renamed)
    )
    assert renamed[0] in snapshot
    assert pickle.loads(snapshot) == [item]
