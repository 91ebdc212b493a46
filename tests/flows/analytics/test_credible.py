"""What can be read and is not believed is set aside, and the true events after it count as if it had not been."""

from typing import Any

import pytest
from msgspec.structs import replace

from flows.analytics.credible import SEQUENCE_MAX
from flows.analytics.rows import LAST
from schemas.accounts import AccountChanged, AccountErased
from schemas.events import DeadLetter, Event, decode
from schemas.money import AMOUNT_MAX
from tests.flows.analytics.conftest import BIRTH, Kept, Log, event, payment, refund_step, step
from tests.flows.analytics.lives import operated, operation, review, reviewed

ACCOUNT = "acc_01kaf3v1c8w2p6s9d4g7k0n5q3"
OWED = {"due:visa": 1999, "due:acc_merchant": -1999}
BALANCED = "SELECT sum(amount)::BIGINT, count(*) FROM ledger"


def changed(sequence: int, **given: Any) -> Event:
    usual = {"role": "merchant", "disabled": False, "trading_name": "Ada's", "recorded_at": BIRTH}
    return event("account.changed", AccountChanged(account=ACCOUNT, sequence=sequence, **(usual | given)))


def numbered(event: Event, sequence: int) -> Event:
    return replace(event, data=replace(event.data, sequence=sequence))


# The topic, an event that is true, and the table that its row stands in.
TRUE: dict[str, tuple[str, Event, str]] = {
    "a payment": ("payments.v1", step(1, None, payment()), "payments"),
    "a refund": ("payments.v1", refund_step(3, "succeeded", payment(state="captured")), "refunds"),
    "an operation": ("operations.v1", operated(1, operation(), OWED), "operations"),
    "a review": ("reviews.v1", reviewed(1, review()), "reviews"),
    "an account": ("accounts.v1", changed(1), "accounts"),
}
LARGE: dict[str, tuple[str, Event]] = {
    "a payment": ("payments.v1", step(1, None, payment(amount=2**62))),
    "what was captured": ("payments.v1", step(1, None, payment(amount_captured=AMOUNT_MAX + 1))),
    "what was given back": ("payments.v1", step(1, None, payment(amount_refunded=-(2**62)))),
    "a refund": ("payments.v1", refund_step(3, "succeeded", payment(state="captured"), 2**62)),
    "an operation": ("operations.v1", operated(1, operation(amount=2**62))),
    "an entry": ("operations.v1", operated(1, operation(), {"due:visa": 2**62, "due:acc_merchant": -(2**62)})),
    "a review": ("reviews.v1", reviewed(1, review(amount=2**62))),
}


def reasons(kept: Kept) -> list[str]:
    letters = [decode(out.headers, out.value).data for out in kept.letters]
    return [letter.reason for letter in letters if isinstance(letter, DeadLetter)]


@pytest.mark.parametrize("sequence", [2**62, 2**63 - 1, SEQUENCE_MAX + 1, 0, -1])
@pytest.mark.parametrize("name", TRUE)
def test_a_sequence_that_no_event_has_holds_no_place_against_true_ones(
    kept: Kept, kafka_log: Log, name: str, sequence: int
) -> None:
    topic, true, table = TRUE[name]
    kept.write(kafka_log.event(topic, numbered(true, sequence)), kafka_log.event(topic, true))
    assert reasons(kept) == ["a sequence that no event has"]
    assert kept.ask(f"SELECT sequence FROM store.{table}") == [(true.data.sequence,)]  # type: ignore[union-attr]
    assert kept.ask("SELECT next_offset FROM store.offsets") == [(2,)]


@pytest.mark.parametrize("name", LARGE)
def test_an_amount_that_nobody_pays_makes_no_sum_overflow(kept: Kept, kafka_log: Log, name: str) -> None:
    topic, forged = LARGE[name]
    true = (step(1, None, payment(id="pay_true")), operated(1, operation(id="op_true"), OWED))
    kept.write(*(kafka_log.event(topic, forged) for _ in range(3)))
    kept.write(*(kafka_log.event(t, e) for t, e in zip(("payments.v1", "operations.v1"), true, strict=True)))
    assert reasons(kept) == ["an amount that nobody pays"] * 3
    assert kept.ask("SELECT sum(count) FROM payments_by_day") == [(1,)]
    assert kept.ask("SELECT amount FROM balances ORDER BY amount") == [(-1999,), (1999,)]


@pytest.mark.parametrize("entries", [{"due:visa": 5}, {"due:visa": 5, "due:acc_merchant": -4}])
def test_entries_that_do_not_add_up_stand_nowhere(kept: Kept, kafka_log: Log, entries: dict[str, int]) -> None:
    kept.write(
        kafka_log.event("operations.v1", operated(1, operation(), entries)),
        kafka_log.event("operations.v1", operated(1, operation(id="op_2"), OWED)),
    )
    assert reasons(kept) == ["entries that do not add up to 0"]
    assert kept.ask("SELECT id FROM operations") == [("op_2",)]
    assert kept.ask(BALANCED) == [(0, 2)]


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_two_events_under_one_number_leave_no_part_of_one_in_the_ledger(
    kept: Kept, kafka_log: Log, in_one_batch: bool
) -> None:
    """Each adds up to 0. What is new of the second does not."""
    short = operated(1, operation(), OWED)
    long = operated(
        1, operation(), {"hold:visa": 7, "hold:acc_merchant": -4, "due:visa": -4, "due:acc_merchant": 1}
    )
    records = [kafka_log.event("operations.v1", each) for each in (short, long)]
    for batch in [records] if in_one_batch else [[record] for record in records]:
        kept.write(*batch)
    assert kept.ask(BALANCED) == [(0, 2)]
    assert kept.ask("SELECT account, amount FROM balances ORDER BY account") == sorted(OWED.items())
    assert reasons(kept) == ["a value does not fit the warehouse"]


def test_nobody_keeps_the_name_of_an_erased_merchant_by_a_number(kept: Kept, kafka_log: Log) -> None:
    kept.write(kafka_log.event("accounts.v1", changed(LAST)))
    erased = event("account.erased", AccountErased(ACCOUNT, "merchant", BIRTH))
    kept.write(kafka_log.event("accounts.v1", erased))
    assert kept.ask("SELECT erased, trading_name FROM store.accounts") == [(True, None)]
