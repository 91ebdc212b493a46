"""How often a recipient can be written to, and what SMS may cost: beyond it `suppressed: rate`."""

from collections.abc import Callable
from typing import Any

import pytest

from flows.notifications import allowance
from schemas.notifications import Notification
from schemas.times import now
from tests.flows.notifications.conftest import EMAIL, PHONE, Telling
from tests.patience import until

BY_MAIL = {"transaction_completed": ["email"]}
BY_SMS = {"transaction_completed": ["sms"]}


@pytest.fixture
def production(start: Callable[..., Telling]) -> Callable[..., Telling]:
    """Starts a flow with the limits of production; its SMS go to the test numbers' country."""

    def run(**settings: Any) -> Telling:
        return start(**{"mails_per_hour": 10, "sms_per_hour": 5, "sms_countries": "US,DE"} | settings)

    return run


def pay(telling: Telling, make: Any, times: int, customer: str = "acct_ada") -> list[Notification]:
    """So many declined payments, and what became of their messages."""
    return telling.tell(*(make.completed(make.payment("declined", customer=customer)) for _ in range(times)))


def counts(told: list[Notification]) -> dict[tuple[str, str | None], int]:
    return {key: [(n.outcome, n.reason) for n in told].count(key) for key in {(n.outcome, n.reason) for n in told}}


def test_1000_declined_payments_are_ten_mails_an_hour(stage: Any, make: Any, production: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels=BY_MAIL)
    assert counts(pay(production(), make, 1_000)) == {("delivered", None): 10, ("suppressed", "rate"): 990}
    assert len(stage.messages()) == 10


def test_1000_declined_payments_are_five_sms_an_hour(stage: Any, make: Any, production: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels=BY_SMS)
    assert counts(pay(production(), make, 1_000)) == {("delivered", None): 5, ("suppressed", "rate"): 995}
    assert len(stage.messages()) == 5


def test_an_address_of_many_accounts_is_one_recipient(stage: Any, make: Any, production: Any) -> None:
    telling = production()
    told = []
    for n in range(8):
        email = EMAIL.upper() if n % 2 else EMAIL
        stage.gateway.recipients[f"acct_{n}"] = make.recipient(email=email)
        told += pay(telling, make, 2, f"acct_{n}")
    assert counts([n for n in told if n.channel == "email"]) == {
        ("delivered", None): 10,
        ("suppressed", "rate"): 6,
    }
    assert counts([n for n in told if n.channel == "sms"]) == {("delivered", None): 5, ("suppressed", "rate"): 11}


def test_variants_of_an_address_are_addresses_of_their_own(stage: Any, make: Any, production: Any) -> None:
    """Which of them are one mailbox is known to their provider alone."""
    telling = production(mails_per_hour=1)
    for n, email in enumerate(("ada@example.com", "a.da@example.com", "ada+1@example.com")):
        stage.gateway.recipients[f"acct_{n}"] = make.recipient(email=email, channels=BY_MAIL)
        assert counts(pay(telling, make, 2, f"acct_{n}")) == {("delivered", None): 1, ("suppressed", "rate"): 1}


def test_messages_that_asked_for_a_confirmation_count_too(stage: Any, make: Any, production: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(confirmations={"email": 3, "sms": 5})
    told = pay(production(), make, 12)
    assert sum(n.outcome == "delivered" for n in told if n.channel == "email") == 7
    assert sum(n.outcome == "delivered" for n in told if n.channel == "sms") == 0


def test_a_restart_forgets_nothing_and_an_hour_does(
    stage: Any, make: Any, production: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels=BY_MAIL)
    first = production(mails_per_hour=2)
    pay(first, make, 2)
    first.close()
    again = production(mails_per_hour=2)
    again.outcomes()  # those of the first: no Kafka has taken them
    assert counts(pay(again, make, 1)) == {("suppressed", "rate"): 1}
    # Not zero: the clock goes on from where it was last saved, which may be before what was sent.
    monkeypatch.setattr(allowance, "HOUR_S", -60.0)
    assert counts(pay(again, make, 1)) == {("delivered", None): 1}


def test_a_day_has_so_many_sms_over_all_recipients(
    stage: Any, make: Any, production: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = now()
    monkeypatch.setattr(allowance, "now", lambda: today)  # for as long as this test takes
    telling = production(sms_per_day=3)
    told = []
    for n in range(5):
        phone = f"+491511234567{n}"
        stage.gateway.recipients[f"acct_{n}"] = make.recipient(phone=phone, channels=BY_SMS)
        told += pay(telling, make, 1, f"acct_{n}")
    assert counts(told) == {("delivered", None): 3, ("suppressed", "rate"): 2}
    stage.gateway.recipients["acct_ada"] = make.recipient(channels=BY_MAIL)
    assert counts(pay(telling, make, 1)) == {("delivered", None): 1}  # a mail costs nothing


def test_a_clock_that_was_set_ahead_and_back_finds_the_day_as_it_was(
    stage: Any, make: Any, production: Any, set_clock: Callable[[float], None]
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(channels=BY_SMS)
    telling = production(sms_per_day=1)
    told = []
    for hours in (0, 24, 0):
        set_clock(hours)
        told += [(n.outcome, n.reason) for n in pay(telling, make, 1)]
        stage.loop_thread.run(_forget(telling))
    assert told == [("delivered", None), ("delivered", None), ("suppressed", "rate")]


async def _forget(telling: Telling) -> None:
    telling.teller._allowance.forget(telling.teller._waiting.now_s())


@pytest.mark.parametrize(
    ("countries", "phone", "is_sent"),
    [
        ("US", "+15005550006", True),
        ("DE, US", "+4915112345678", True),
        ("*", "+882161234567", True),
        ("US", "+18765550006", False),  # Jamaica has the country code of the US
        ("*", "+19005550006", False),
        ("US", "+882161234567", False),  # a satellite phone
        ("US", "+19005550006", False),  # a premium number
        ("DE", "+15005550006", False),
    ],
)
def test_sms_go_to_the_countries_of_the_setting_alone(
    stage: Any, make: Any, production: Any, countries: str, phone: str, is_sent: bool
) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient(phone=phone, channels=BY_SMS)
    outcome = ("delivered", None) if is_sent else ("suppressed", "rate")
    assert counts(pay(production(sms_countries=countries), make, 1)) == {outcome: 1}


def test_a_message_that_is_tried_again_counts_once(stage: Any, make: Any, production: Any) -> None:
    busy = make.recipient(email="busy@example.com", channels=BY_MAIL)
    stage.gateway.recipients |= {"acct_busy": busy}
    telling = production(mails_per_hour=2)
    telling.keep(make.completed(make.payment(customer="acct_busy")))
    tries = "SELECT count(*) FROM lines WHERE lane = 'email' AND tries >= 2"
    until(lambda: telling.log.db.execute(tries).fetchone() == (1,))
    assert telling.log.db.execute("SELECT count(*) FROM sent_lately").fetchone() == (1,)


def test_no_address_stands_in_the_file(stage: Any, make: Any, production: Any) -> None:
    stage.gateway.recipients["acct_ada"] = make.recipient()
    telling = production()
    pay(telling, make, 1)
    telling.log.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = stage.settings.sent_log_path().read_bytes()
    assert b"sent_lately" in content
    assert EMAIL.encode() not in content
    assert PHONE.encode() not in content
