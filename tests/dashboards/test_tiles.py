"""Every tile of the overview: its figures against the payments that were written, counted by hand."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.warehouse import Table, WarehouseReader
from dashboards import page
from dashboards.look import Look
from dashboards.tile import Tile
from dashboards.tiles import amounts, headline, health, latest, needs, processors, throughput
from dashboards.wording import STATE_WORDS
from schemas.alerts import Alert
from schemas.events import DeadLetter, new_event
from schemas.payments import AppliedRisk, Method, Payment, PaymentEvent
from schemas.states import STATUS
from schemas.times import now
from tests.flows.analytics.lives import operated, operation, review, reviewed

HOUR = Look("1h")
ALLOW = AppliedRisk("allow", "model", 0.1, waited_ms=5.0)


def asked(reader: WarehouseReader, tile: Tile, look: Look = HOUR) -> Table:
    return reader.query(tile.statement(look))


def shown(reader: WarehouseReader, look: Look = HOUR) -> dict[str, Any]:
    return {figure.label: figure for figure in headline.figures(asked(reader, headline.FIGURES, look), look)}


def sold(shop: Any, moment: datetime, **changes: Any) -> Payment:
    """A captured payment of that moment, with these fields changed; it is written."""
    usual = {"state": "captured", "amount": 1000, "currency": "EUR", "processor": "visa", "decline_code": None}
    given = usual | {"risk": ALLOW} | changes
    made: Payment = shop.payment(moment, **({"status": STATUS[given["state"]]} | given))
    shop.take(made)
    return made


def test_an_empty_warehouse_has_figures_too(reader: WarehouseReader) -> None:
    assert {figure.value for figure in shown(reader).values()} == {"0", "–"}
    assert headline.wait(asked(reader, headline.WAITS), HOUR).value == "–"
    assert headline.age(asked(reader, headline.AGE)).value == "–"
    assert amounts.amounts(asked(reader, amounts.CAPTURED), HOUR) == []
    assert sum(need.count for need in needs.needs(asked(reader, needs.NEEDS))) == 0
    for tile in (processors.PROCESSORS, latest.LATEST, health.HEALTH):
        assert asked(reader, tile).rows == []


def test_the_figures_count_what_was_paid_and_compare_it(shop: Any, reader: WarehouseReader) -> None:
    """One was blocked and one is held that no issuer was asked about; one is younger than a minute."""
    moment, unasked = (now() - timedelta(minutes=10)).replace(second=9), {"processor": None}
    refunded = sold(shop, moment)
    sold(shop, moment - timedelta(minutes=20), state="partially_captured")
    sold(shop, moment, state="declined", decline_code="insufficient_funds")
    blocked, held = (AppliedRisk(outcome, "rules") for outcome in ("block", "review"))  # type: ignore[arg-type]
    sold(shop, moment, state="declined", decline_code="blocked", risk=blocked, **unasked)
    sold(shop, moment, state="in_review", risk=held, **unasked)
    sold(shop, now())
    for _ in range(2):
        sold(shop, moment - timedelta(days=1))
    shop.refund(refunded, 1000)
    figures = shown(reader)
    assert {label: figure.value for label, figure in figures.items()} == {
        "Payments": "6",
        "Approval rate": "75.0%",
        "Held or blocked": "33.3%",
        "Refunds": "1",
    }
    changes = {label: [(c.text, c.against, c.tone) for c in f.changes] for label, f in figures.items()}
    assert changes["Payments"] == [("+150%", "yesterday", "")]  # five of whole minutes, against two
    assert changes["Approval rate"] == [("-33.3 pts", "yesterday", "worse")]
    assert changes["Refunds"] == []
    course = figures["Payments"].course.split(",")
    assert [point.split()[1] for point in course].count("34px") == 2  # the corners below
    assert len(course) == 32  # a minute each, from the first payment of half an hour ago on


def test_a_week_is_compared_with_the_week_before(shop: Any, reader: WarehouseReader) -> None:
    week = Look("7d")
    for days, count in ((1, 3), (8, 2)):
        for _ in range(count):
            sold(shop, now() - timedelta(days=days))
    [change] = shown(reader, week)["Payments"].changes
    assert (change.text, change.against) == ("+50.0%", "last week")
    assert Look("30d").compared == {"the time before": timedelta(days=30)}


def test_waits_are_percentiles_of_those_who_waited(shop: Any, reader: WarehouseReader) -> None:
    moment = now() - timedelta(minutes=5)
    for number in range(1, 102):
        sold(shop, moment, risk=AppliedRisk("allow", "model", waited_ms=float(number)))
    sold(shop, moment, risk=None)
    sold(shop, moment - timedelta(days=7), risk=AppliedRisk("allow", "model", waited_ms=50.0))
    figure = headline.wait(asked(reader, headline.WAITS), HOUR)
    assert (figure.value, figure.note) == ("100 ms", "median 51 ms")
    [change] = figure.changes
    assert (change.text, change.against, change.tone) == ("+100%", "last week", "worse")


def test_what_was_stood_is_shown_as_it_stood(shop: Any, reader: WarehouseReader) -> None:
    moment = now() - timedelta(minutes=30)
    held = sold(shop, moment, state="authorized")
    taken = msgspec.structs.replace(held, state="captured", status="succeeded", amount_captured=1000)
    later = moment + timedelta(minutes=20)
    event = PaymentEvent(2, "authorized", later, taken)
    shop.put("payments.v1", new_event("payment.captured", "/", held.id, event, later))
    sold(shop, later)
    then = Look("1h", at=moment + timedelta(minutes=10))
    [before] = amounts.amounts(asked(reader, amounts.CAPTURED, then), then)
    [after] = amounts.amounts(asked(reader, amounts.CAPTURED), HOUR)
    assert (before.captured, before.open, after.captured, after.open) == ("0.00", "10.00", "20.00", "–")
    assert shown(reader, then)["Payments"].value == "1"
    [line] = latest.latest(asked(reader, latest.LATEST, then), then, moment)
    assert line.state == "Reserved"


def test_the_rate_of_now_is_that_of_the_newest_whole_bar(shop: Any, reader: WarehouseReader) -> None:
    until = now().replace(second=32, microsecond=0) - timedelta(minutes=1)
    for number in range(20):
        sold(shop, until - timedelta(seconds=7 - number % 5))  # from 25 to 29
    sold(shop, until)  # too young to count
    look = Look(since=until - timedelta(hours=1), until=until, zone="Asia/Tokyo")
    figures = throughput.throughput(asked(reader, throughput.THROUGHPUT, look))
    assert figures.now == 4.0
    assert (len(figures.times), sum(figures.bars["succeeded"])) == (60, 4.0)


def test_a_chart_stands_on_the_clock_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
        local = [noon.replace(tzinfo=None) + timedelta(hours=9)]  # as a statement with $zone answers
        drawn = [page.points(Look(zone="Asia/Tokyo"), times, [1.0]) for times in ([noon], local)]
        assert drawn == [[(1_000 * int((noon + timedelta(hours=9)).timestamp()), 1.0)]] * 2
    finally:
        monkeypatch.undo()
        time.tzset()


def test_two_currencies_are_never_added(shop: Any, reader: WarehouseReader) -> None:
    for minor, currency, state in ((1050, "EUR", "captured"), (1050, "JPY", "captured"), (99, "EUR", "in_review")):
        sold(shop, now(), amount=minor, currency=currency, state=state)
    lines = {line.code: line for line in amounts.amounts(asked(reader, amounts.CAPTURED), HOUR)}
    assert (lines["EUR"].captured, lines["EUR"].open, lines["EUR"].payments) == ("10.50", "0.99", 1)
    assert (lines["JPY"].captured, lines["JPY"].open, lines["JPY"].mean) == ("1,050", "–", "1,050")


def test_what_was_refunded_stands_beside_what_was_captured(shop: Any, reader: WarehouseReader) -> None:
    whole, part = (sold(shop, now()) for _ in range(2))
    sold(shop, now(), state="partially_captured", amount_captured=400, amount_capturable=600)
    shop.refund(whole, 1000)
    shop.refund(shop.refund(part, 250), 300, "failed", sequence=3)
    [euro] = amounts.amounts(asked(reader, amounts.CAPTURED), HOUR)
    assert (euro.captured, euro.refunded, euro.net) == ("24.00", "12.50", "11.50")
    assert (euro.payments, euro.open) == (3, "–"), "what is held of a part is no pending payment"


def test_a_processor_is_as_healthy_as_its_payments_and_calls(shop: Any, reader: WarehouseReader) -> None:
    """What our own gate stopped is no failure of a processor, and a decline is an answer."""
    moment = now() - timedelta(seconds=30)
    codes = {"declined": "insufficient_funds"}
    for state in ("captured", "captured", "partially_captured", "declined", "unknown", "processing"):
        sold(shop, moment, state=state, decline_code=codes.get(state))
    sold(shop, moment, state="declined", decline_code="blocked")
    sold(shop, moment, processor="mastercard")
    for number in range(10):
        call = operation(id=f"op_{number}", created_at=moment, milliseconds=40.0 + number)
        lost = {"status": "failed"} if number < 2 else {}
        shop.put("operations.v1", operated(1, msgspec.structs.replace(call, **lost)))
    visa, mastercard = processors.health(asked(reader, processors.PROCESSORS))
    assert (visa.name, visa.rate, visa.answered, visa.unknown, visa.part) == ("Visa", "75.0%", 4, 1, "83.3%")
    assert (visa.p50, visa.lost, visa.fails) == ("44 ms", 2, False)
    assert (mastercard.rate, mastercard.lost, mastercard.p50) == ("100%", 0, "–")


def test_what_needs_a_person_is_counted(shop: Any, reader: WarehouseReader) -> None:
    moment = now() - timedelta(minutes=1)
    sold(shop, moment - timedelta(days=40), state="unknown")
    opened = [review(id=f"rev_{number}", opened_at=moment) for number in range(3)]
    over = msgspec.structs.replace(opened[0], decision="approve", decided_by="acc_ana", decided_at=moment)
    shop.put("reviews.v1", *(reviewed(1, each) for each in opened), reviewed(2, over))
    letter = DeadLetter("payments.v1", 0, 7, "unreadable", None, moment)
    shop.put("dead_letter.v1", new_event("dead_letter", "/", "payments.v1/0/7", letter, moment))
    told = Alert("alr_1", 1, "label_burst", "acc_shop", "gateway", {"labels": 30.0}, moment, moment)
    ended = msgspec.structs.replace(told, id="alr_2", over_at=moment)
    for each, kind in ((told, "alert.raised"), (ended, "alert.over")):
        shop.put("alerts.v1", new_event(kind, "/", each.id, each, moment))
    for number in range(10):
        call = operation(id=f"op_{number}", created_at=moment, status="failed" if number < 3 else "succeeded")
        shop.put("operations.v1", operated(1, call))
    found = {need.many: (need.count, need.note) for need in needs.needs(asked(reader, needs.NEEDS))}
    assert found == {
        "processors fail": (1, "Visa"),
        "reviews wait": (2, "oldest 1 min"),
        "payments without an answer": (1, "oldest 40 d"),
        "alerts stand": (1, "label burst"),
        "dead letters": (1, "in this period"),
    }


def test_the_newest_payment_is_first_and_complete(shop: Any, reader: WarehouseReader) -> None:
    moment = now()
    shop.take(shop.payment(moment - timedelta(seconds=5)))
    risk = AppliedRisk("flag", "model", 0.5)
    newest = shop.payment(
        moment,
        state="requires_action",
        status="pending",
        amount=1234,
        currency="BHD",
        method=Method("paypal"),
        processor="paypal",
        risk=risk,
        decline_code=None,
    )
    shop.take(newest)
    first, second = latest.latest(asked(reader, latest.LATEST), HOUR, moment)
    assert (first.id, first.state, first.status) == (newest.id, "Waits for the payer", "pending")
    assert (first.amount, first.currency, first.instrument) == ("1.234", "BHD", "PayPal")
    assert (first.outcome, first.score, first.age, second.age) == ("flag", "0.50", "now", "5 s")


def test_a_line_says_what_became_of_the_amount(shop: Any, reader: WarehouseReader) -> None:
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"state": "captured"}, 0, ""),
        ({"state": "captured"}, 1000, "refunded"),
        ({"state": "captured"}, 250, "2.50 refunded"),
        ({"state": "captured", "amount_captured": 900}, 900, "9.00 captured · refunded"),
        ({"state": "partially_captured", "amount_captured": 400}, 0, "4.00 captured"),
        ({"state": "declined", "decline_code": "limit_exceeded"}, 0, "limit exceeded"),
    ]
    moment = now()
    for number, (changes, given_back, _) in enumerate(cases):
        made = sold(shop, moment - timedelta(seconds=number), **changes)
        if given_back:
            shop.refund(made, given_back)
    lines = latest.latest(asked(reader, latest.LATEST), HOUR, moment)
    told = [(STATE_WORDS[changes["state"]], note, "10.00") for changes, _, note in cases]
    assert [(line.state, line.note, line.amount) for line in lines] == told


def test_a_topic_is_late_after_some_seconds(shop: Any, reader: WarehouseReader) -> None:
    rows = [("a.v1", 0, 200, 5), ("b.v1", 7, 9000, 5)]
    topics = health.health(Table(["topic", "records_to_read", "age_ms", "records"], rows))
    assert [(topic.name, topic.lag, topic.late) for topic in topics] == [("a", 0, False), ("b", 7, True)]
    shop.sell(1, timedelta(seconds=1))
    assert headline.age(asked(reader, headline.AGE)).note == "0 records to read"
