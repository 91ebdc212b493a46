"""In quiet hours a message waits, in order and for itself alone; once they end it is sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.notifications import lane, recipients, teller
from flows.notifications.preferences import quiet_for
from schemas.notifications import QuietHours
from schemas.times import now
from tests.flows.notifications.conftest import Telling
from tests.patience import until

ASLEEP = {"time_zone": "Asia/Tokyo", "quiet_hours": QuietHours("22:00", "07:00"), "phone": None}
A_DAY = timedelta(days=1)


class Clock:
    """The flow's wall clock, on the evening of this day: 23:30 in Tokyo."""

    def __init__(self) -> None:
        self.moment = now().replace(hour=14, minute=30, second=0, microsecond=0)

    def wake_up(self) -> None:
        """It is seven."""
        self.moment = self.moment.replace(hour=22, minute=0, second=0)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It stands in for the wall clock, and the flow looks often whether quiet hours are over."""
    clock = Clock()
    monkeypatch.setattr(teller, "now", clock)
    monkeypatch.setattr(teller, "LOOKS_AGAIN", timedelta(seconds=0.05))
    monkeypatch.setattr(teller, "SWEEP_EVERY_S", 0.05)
    monkeypatch.setattr(lane, "REST_MAX_S", 0.05)
    monkeypatch.setattr(recipients, "REMEMBERED_S", 0)
    return clock


@pytest.fixture
def asleep(stage: Any, make: Any, clock: Clock, start: Callable[..., Telling]) -> Telling:
    """A flow with two payments of a customer who sleeps."""
    stage.gateway.recipients["acct_ada"] = make.recipient(**ASLEEP)
    telling = start()
    telling.keep(*(make.completed(make.payment(), n, clock.moment) for n in (4, 5)))
    until(lambda: len(telling.teller._waiting._first("email", "acct_ada", 9)) == 2)
    _until_looked_at_again(stage)
    return telling


def test_a_message_waits_until_quiet_hours_end_and_is_sent_then(stage: Any, clock: Clock, asleep: Telling) -> None:
    clock.wake_up()
    clock.moment -= timedelta(seconds=1)
    _until_looked_at_again(stage)
    assert (stage.messages(), [n.channel for n in asleep.outcomes()]) == ([], ["sms", "sms"])  # no_address
    clock.moment += timedelta(seconds=1)
    until(lambda: not asleep.waiting())
    assert [(n.outcome, n.sequence) for n in asleep.outcomes()] == [("delivered", 4), ("delivered", 5)]
    assert len(stage.messages()) == 2


def test_it_waits_on_disk(stage: Any, make: Any, clock: Clock, asleep: Telling, start: Any) -> None:
    asleep.close()
    again = start()
    assert again.waiting() == 2
    _until_looked_at_again(stage)
    assert stage.messages() == []
    clock.wake_up()
    until(lambda: len(stage.messages()) == 2)


def test_who_sleeps_holds_up_nobody_else(stage: Any, make: Any, clock: Clock, start: Any) -> None:
    telling = start()
    for n in range(110):
        stage.gateway.recipients[f"acct_{n}"] = make.recipient(**ASLEEP)
    stage.gateway.recipients["acct_bob"] = make.recipient()
    telling.keep(*(make.completed(make.payment(customer=f"acct_{n}"), 4, clock.moment) for n in range(110)))
    telling.keep(*(make.completed(make.payment(customer="acct_bob"), 4, clock.moment) for _ in range(10)))
    until(lambda: len(stage.messages()) == 20)
    assert telling.waiting() == 110


@pytest.mark.parametrize(
    "changes",
    [
        {"quiet_hours": None},
        {"quiet_hours": QuietHours("01:00", "07:00")},
        {"time_zone": "America/New_York"},
        {"email": "new@example.com", "quiet_hours": None},
    ],
)
def test_wishes_that_change_meanwhile_count(
    stage: Any, make: Any, asleep: Telling, changes: dict[str, Any]
) -> None:
    wishes: dict[str, Any] = ASLEEP | changes
    stage.gateway.recipients["acct_ada"] = make.recipient(**wishes)
    until(lambda: len(stage.messages()) == 2)
    assert {m["to"] for m in stage.messages()} == {wishes.get("email", "ada@example.com")}


def test_an_account_that_was_erased_meanwhile_gets_nothing(stage: Any, asleep: Telling) -> None:
    del stage.gateway.recipients["acct_ada"]
    until(lambda: not asleep.waiting())
    assert stage.messages() == []


def test_a_channel_that_is_not_wanted_any_more_gets_nothing(stage: Any, make: Any, asleep: Telling) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={}, **ASLEEP)
    until(lambda: not asleep.waiting())
    assert stage.messages() == []


def test_what_is_too_old_when_they_end_is_not_sent(stage: Any, clock: Clock, asleep: Telling) -> None:
    asleep.outcomes()
    clock.moment += timedelta(days=1, seconds=1)
    until(lambda: not asleep.waiting())
    assert [(n.outcome, n.reason) for n in asleep.outcomes()] == [("suppressed", "too_old")] * 2


def test_patience_begins_when_quiet_hours_end(stage: Any, make: Any, clock: Clock, start: Any) -> None:
    """A server that is away while the customer sleeps, or just when they wake up, costs no message."""
    stage.gateway.recipients["acct_ada"] = make.recipient(**ASLEEP | {"email": "busy@example.com"})
    telling = start(notification_patience_s=30)
    telling.keep(make.completed(make.payment(), 4, clock.moment))
    _until_looked_at_again(stage)
    telling.teller._waiting._began_s -= 60  # twice the patience goes by
    _until_looked_at_again(stage)
    clock.wake_up()
    tried = "SELECT count(*) FROM lines WHERE lane = 'email' AND tries > 0"
    until(lambda: telling.log.db.execute(tried).fetchone() == (1,))
    assert telling.waiting() == 1
    stage.gateway.recipients["acct_ada"] = make.recipient(**ASLEEP)
    until(lambda: len(stage.messages()) == 1)


def test_so_many_that_sleep_that_they_would_hold_up_others_are_not_kept(
    stage: Any, make: Any, clock: Clock, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller, "QUIET_FULL", 3)
    stage.gateway.recipients["acct_ada"] = make.recipient(**ASLEEP)
    telling = start()
    telling.keep(*(make.completed(make.payment(), 4, clock.moment) for _ in range(5)))
    until(lambda: telling.waiting() == 2)
    told = [n for n in telling.outcomes() if n.channel == "email"]
    assert [(n.outcome, n.reason) for n in told] == [("suppressed", "quiet_hours")] * 3


@pytest.mark.parametrize(
    ("zone", "start", "end", "utc", "minutes"),
    [
        ("Europe/Berlin", "22:00", "07:00", "2026-11-23T21:00:00", 540),
        ("Europe/Berlin", "22:00", "07:00", "2026-11-23T05:59:30", 0.5),
        ("Europe/Berlin", "22:00", "07:00", "2026-11-23T06:00:00", 0),
        ("Europe/Berlin", "22:00", "07:00", "2026-03-28T21:00:00", 480),  # an hour less of that night
        ("Europe/Berlin", "22:00", "07:00", "2026-10-24T20:00:00", 600),  # an hour more
        ("Europe/Berlin", "01:00", "02:30", "2026-03-29T00:30:00", 30),  # its end does not exist: 03:00 does
        ("Europe/Berlin", "01:00", "02:30", "2026-10-25T00:00:00", 30),  # its end comes twice
        ("Australia/Lord_Howe", "01:00", "02:15", "2026-10-03T15:00:00", 30),  # half an hour of summer time
        ("Asia/Kathmandu", "22:00", "07:00", "2026-11-24T01:00:00", 15),
        ("Pacific/Kiritimati", "00:00", "23:59", "2026-11-23T10:00:00", 1439),
        ("UTC", "12:00", "12:00", "2026-11-23T12:00:00", 0),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(
    make: Any, zone: str, start: str, end: str, utc: str, minutes: float
) -> None:
    recipient = make.recipient(time_zone=zone, quiet_hours=QuietHours(start, end))
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert quiet_for(recipient, moment, A_DAY) == timedelta(minutes=minutes)
    assert quiet_for(recipient, moment, timedelta(minutes=10)) == min(
        timedelta(minutes=minutes), timedelta(minutes=10)
    )


def _until_looked_at_again(stage: Any) -> None:
    asked = len(stage.gateway.asked)
    until(lambda: len(stage.gateway.asked) >= asked + 3)
