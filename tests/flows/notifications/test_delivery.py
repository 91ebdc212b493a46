"""Telling: by whom it is wanted, once, whatever is repeated or refused."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.delivery import TryLater
from flows.notifications.delivery import Notifier
from flows.notifications.flow import open_notifier
from flows.notifications.recipients import GatewayAway
from schemas.events import Event, derived_id
from schemas.notifications import Notification, QuietHours
from schemas.times import now

Tell = Callable[..., list[Notification]]


class Killed(Exception):
    """Stands for the end of the process."""


def die(*_: Any) -> None:
    raise Killed


@pytest.fixture
def notifier(stage: Any) -> Iterator[Notifier]:
    notifier = stage.loop_thread.run(open_notifier(stage.settings))
    yield notifier
    stage.loop_thread.run(notifier.close())


@pytest.fixture
def tell(stage: Any, notifier: Notifier) -> Tell:
    def run(event: Event, last_try: bool = False) -> list[Notification]:
        return [e.data for e in stage.loop_thread.run(notifier.notify(event, last_try))]

    return run


def test_a_customer_is_told_by_every_channel_they_want(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    event = make.completed(make.payment(), sequence=7)
    mailed, texted = tell(event)
    assert (mailed.channel, mailed.outcome, mailed.address) == ("email", "delivered", "a…@example.com")
    assert (texted.channel, texted.outcome, texted.address) == ("sms", "delivered", "+1…06")
    mail, sms = stage.messages()
    assert (mail["channel"], mail["to"]) == ("email", "ada@example.com")
    assert (sms["channel"], sms["to"]) == ("sms", "+15005550006")


def test_the_record_names_the_event_and_the_sequence_it_told(stage: Any, notifier: Notifier, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["email"]})
    event = make.completed(make.payment("declined"), sequence=7)
    (recorded,) = stage.loop_thread.run(notifier.notify(event))
    effect = derived_id(event.id, "notification.email")
    assert (recorded.id, recorded.type, recorded.subject) == (effect, "notification.recorded", event.subject)
    assert (recorded.data.event, recorded.data.sequence, recorded.data.message_id) == (event.id, 7, effect)
    (mail,) = stage.messages()
    assert mail["message_id"] == f"<{effect}@sluice.localhost>"
    assert "declined" in mail["subject"]


def test_told_twice_is_heard_once_and_recorded_alike(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    event = make.completed(make.payment())
    assert tell(event) == tell(event)
    assert len(stage.messages()) == 2


def test_a_new_process_remembers(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    event = make.completed(make.payment())
    first = tell(event)
    other = stage.loop_thread.run(open_notifier(stage.settings))
    assert [e.data for e in stage.loop_thread.run(other.notify(event))] == first
    stage.loop_thread.run(other.close())
    assert len(stage.messages()) == 2


def test_who_wants_nothing_is_not_told_and_not_recorded(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"refund": ["email"]})
    assert tell(make.completed(make.payment())) == []
    assert tell(make.completed(make.payment(customer="acct_nobody"))) == []
    assert stage.messages() == []


def test_a_refund_is_told_once_to_who_wants_to_know_of_refunds(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"refund": ["email", "sms"]})
    first, second = (make.refunded(make.payment(amount_refunded=500), 500, sequence=n) for n in (6, 7))
    told = tell(first)
    assert [(n.kind, n.channel, n.outcome, n.sequence) for n in told] == [
        ("refund", "email", "delivered", 6),
        ("refund", "sms", "delivered", 6),
    ]
    assert tell(first) == told
    assert len(stage.messages()) == 2
    tell(second)
    assert [message["channel"] for message in stage.messages()] == ["email", "sms"] * 2


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_nobody_is_told_of_a_refund_that_gave_nothing_back(stage: Any, tell: Tell, make: Any, status: str) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    assert tell(make.refunded(make.payment(), 500, status)) == []
    assert stage.gateway.asked == []


def test_who_wants_to_know_of_payments_alone_is_not_told_of_refunds(stage: Any, tell: Tell, make: Any) -> None:
    """As a customer starts."""
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["email"]})
    assert tell(make.refunded(make.payment(), 500)) == []


def now_is_quiet() -> dict[str, Any]:
    """Quiet hours on the far side of the date line, from an hour ago until in an hour."""
    there, hour = now().astimezone(ZoneInfo("Pacific/Kiritimati")), timedelta(hours=1)
    hours = QuietHours(f"{there - hour:%H:%M}", f"{there + hour:%H:%M}")
    return {"quiet_hours": hours, "time_zone": "Pacific/Kiritimati"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (now_is_quiet(), "quiet_hours"),
        ({"email": None}, "no_address"),
        ({"channels": {"transaction_completed": ["webhook"]}}, "not_available"),
    ],
)
def test_what_is_suppressed_says_why(
    stage: Any, tell: Tell, make: Any, changes: dict[str, Any], reason: str
) -> None:
    wanted = {"channels": {"transaction_completed": ["email"]}} | changes
    stage.gateway.recipients["acct_ada"] = make.recipient(**wanted)
    (notification,) = tell(make.completed(make.payment()))
    assert (notification.outcome, notification.reason) == ("suppressed", reason)
    assert stage.messages() == []


def test_nobody_is_told_of_the_distant_past(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    old = make.completed(make.payment(), recorded_at=now() - timedelta(days=2))
    assert {(n.outcome, n.reason) for n in tell(old)} == {("suppressed", "too_old")}


@pytest.mark.parametrize(
    ("changes", "channel", "reason"),
    [({"email": "bounce@example.com"}, "email", "smtp_550"), ({"phone": "+15005550001"}, "sms", "sms_21211")],
)
def test_a_final_refusal_is_recorded_and_the_other_channel_told(
    stage: Any, tell: Tell, make: Any, changes: dict[str, Any], channel: str, reason: str
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(**changes)
    told = {n.channel: n for n in tell(make.completed(make.payment()))}
    assert (told[channel].outcome, told[channel].reason) == ("failed", reason)
    assert len(stage.messages()) == 1


def test_a_busy_mailbox_is_for_later_and_in_the_end_failed(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(email="busy@example.com")
    event = make.completed(make.payment())
    for _ in range(2):
        with pytest.raises(TryLater, match="smtp_451"):
            tell(event)
    told = {n.channel: (n.outcome, n.reason) for n in tell(event, last_try=True)}
    assert told == {"email": ("failed", "smtp_451"), "sms": ("delivered", None)}
    assert len(stage.messages()) == 1


def test_a_text_that_may_have_gone_out_is_looked_for_first(
    stage: Any, notifier: Notifier, tell: Tell, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={"transaction_completed": ["sms"]})
    event = make.completed(make.payment())
    with monkeypatch.context() as patch:  # killed between the vendor's answer and our note of it
        patch.setattr(notifier._sent_log, "record", die)
        with pytest.raises(Killed):
            tell(event)
    (notification,) = tell(event)
    assert notification.outcome == "delivered"
    assert len(stage.messages()) == 1


def test_a_burst_of_one_customer_is_one_question(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={})
    for _ in range(50):
        tell(make.completed(make.payment()))
    assert len(stage.gateway.asked) < 5


def test_the_token_is_kept_and_renewed_when_it_is_refused(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients |= {"acct_1": make.recipient(channels={}), "acct_2": make.recipient(channels={})}
    tell(make.completed(make.payment(customer="acct_1")))
    stage.gateway.forget_tokens()
    tell(make.completed(make.payment(customer="acct_2")))
    assert stage.gateway.tokens_given == 2


def test_a_gateway_in_trouble_is_asked_again(stage: Any, tell: Tell, make: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels={})
    event = make.completed(make.payment())
    stage.gateway.status = 503
    with pytest.raises(GatewayAway, match="gateway_503"):
        tell(event)
    stage.gateway.status = 200
    assert tell(event) == []


def test_an_account_id_cannot_lead_elsewhere(stage: Any, tell: Tell, make: Any) -> None:
    assert tell(make.completed(make.payment(customer="../../v1/me?x="))) == []
    assert stage.gateway.asked == ["../../v1/me?x="]
