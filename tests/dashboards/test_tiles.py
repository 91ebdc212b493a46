"""Every tile's figures against the warehouse's own rows."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.warehouse import Table, WarehouseReader
from dashboards.settings import DashboardSettings
from dashboards.tiles import (
    amounts,
    health,
    latest,
    messages,
    processors,
    throughput,
    verdict_latency,
    verdicts,
)
from schemas.payments import AppliedRisk, Method
from schemas.times import now


@pytest.fixture
def reader(shop: Any) -> WarehouseReader:
    return WarehouseReader(
        DashboardSettings(data=shop.settings.data, port_offset=shop.settings.port_offset), "dashboard"
    )


def test_an_empty_warehouse_has_figures_too(reader: WarehouseReader) -> None:
    assert throughput.throughput(reader.query(throughput.QUERY), now()).now == 0
    assert amounts.amounts(reader.query(amounts.QUERY)) == []
    assert processors.success(reader.query(processors.QUERY)).rate == "–"
    assert verdicts.verdicts(reader.query(verdicts.QUERY)).stopped == "–"
    assert verdict_latency.latency(reader.query(verdict_latency.QUERY)).p99 is None
    assert latest.latest(reader.query(latest.QUERY), now()) == []
    assert health.health(reader.query(health.QUERY), 0).age_s is None
    assert messages.channels(reader.query(messages.QUERY)) == []


def test_the_rate_of_now_is_the_mean_of_the_last_whole_seconds(shop: Any, reader: WarehouseReader) -> None:
    moment = now()
    settled = moment.replace(microsecond=0) - timedelta(seconds=throughput.SETTLED_S)
    for number in range(20):
        shop.take(shop.payment(settled - timedelta(seconds=1 + number % 5), state="captured", status="succeeded"))
    shop.take(shop.payment(moment))  # too young to count
    figures = throughput.throughput(reader.query(throughput.QUERY), moment)
    assert figures.now == 4.0
    assert figures.seconds[-5:] == [4, 4, 4, 4, 4]
    assert (len(figures.seconds), sum(figures.seconds)) == (60, 20)
    assert {len(bars) for bars in figures.bars.values()} == {60}


def test_bars_stand_still_between_two_looks() -> None:
    table = Table(["second", "status", "count"], [])
    moment = now().replace(second=33)
    first, second = (throughput.throughput(table, moment + timedelta(seconds=s)).times for s in (0, 1))
    assert first == second


def test_two_currencies_are_never_added(shop: Any, reader: WarehouseReader) -> None:
    for minor, currency, state in ((1050, "EUR", "captured"), (1050, "JPY", "captured"), (99, "EUR", "in_review")):
        shop.take(shop.payment(now(), amount=minor, currency=currency, state=state))
    lines = {line.code: line for line in amounts.amounts(reader.query(amounts.QUERY))}
    assert (lines["EUR"].captured, lines["EUR"].pending, lines["EUR"].payments) == ("10.50", "0.99", 1)
    assert (lines["JPY"].captured, lines["JPY"].pending, lines["JPY"].mean) == ("1,050", "–", "1,050")


def test_what_was_given_back_stands_beside_what_was_taken(shop: Any, reader: WarehouseReader) -> None:
    whole, part = (shop.payment(now(), amount=1000, currency="EUR", state="captured") for _ in range(2))
    held = {"state": "partially_captured", "amount_captured": 400, "amount_capturable": 600}
    for made in (whole, part, shop.payment(now(), amount=1000, currency="EUR", **held)):
        shop.take(made)
    shop.refund(whole, 1000)
    shop.refund(shop.refund(part, 250), 300, "failed", sequence=3)
    [euro] = amounts.amounts(reader.query(amounts.QUERY))
    assert (euro.captured, euro.refunded, euro.net) == ("24.00", "12.50", "11.50")
    assert (euro.payments, euro.pending) == (3, "–"), "what is held of a part is no pending payment"


def test_with_nothing_given_back_the_net_is_what_was_taken(shop: Any, reader: WarehouseReader) -> None:
    shop.take(shop.payment(now(), amount=1000, currency="EUR", state="captured"))
    [euro] = amounts.amounts(reader.query(amounts.QUERY))
    assert (euro.refunded, euro.net) == ("–", "10.00")


def test_a_payment_our_gate_stopped_is_no_failure_of_a_processor(shop: Any, reader: WarehouseReader) -> None:
    for state, code in (
        ("captured", None),
        ("captured", None),
        ("partially_captured", None),
        ("declined", "insufficient_funds"),
        ("declined", "blocked"),
        ("unknown", None),
        ("processing", None),
    ):
        shop.take(shop.payment(now(), state=state, decline_code=code, processor="visa"))
    figures = processors.success(reader.query(processors.QUERY))
    (visa,) = figures.processors
    assert (visa.rate, visa.answered, visa.unknown, figures.rate) == ("75.0%", 4, 1, "75.0%")


def test_every_outcome_has_a_line_and_the_stand_in_its_share(shop: Any, reader: WarehouseReader) -> None:
    moment = now()
    for outcome, source in (("allow", "model"), ("allow", "stand_in"), ("review", "rules"), ("block", "model")):
        shop.take(shop.payment(moment, risk=AppliedRisk(outcome, source, waited_ms=5.0)))  # type: ignore[arg-type]
    figures = verdicts.verdicts(reader.query(verdicts.QUERY))
    assert [(share.outcome, share.count) for share in figures.shares] == [
        ("allow", 2),
        ("flag", 0),
        ("review", 1),
        ("block", 1),
    ]
    assert (figures.stopped, figures.stand_in, figures.minutes) == ("50.0%", "25.0%", [50.0])


def test_waits_are_percentiles_of_those_who_waited(shop: Any, reader: WarehouseReader) -> None:
    moment = now()
    for number in range(1, 102):
        risk = AppliedRisk("allow", "model", waited_ms=float(number))
        shop.take(shop.payment(moment, risk=risk))
    shop.take(shop.payment(moment, risk=None))
    figures = verdict_latency.latency(reader.query(verdict_latency.QUERY))
    assert (figures.p50, figures.p99) == (51.0, 100.0)
    assert (figures.p50s, figures.p99s, len(figures.times)) == ([51.0], [100.0], 1)


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
    first, second = latest.latest(reader.query(latest.QUERY), moment)
    assert (first.id, first.state, first.status) == (newest.id, "requires action", "pending")
    assert (first.amount, first.currency, first.instrument) == ("1.234", "BHD", "PayPal")
    assert (first.outcome, first.score, first.age, second.age) == ("flag", "0.50", "now", "5 s")


@pytest.mark.parametrize(
    ("changes", "given_back", "note"),
    [
        ({"state": "captured"}, 0, ""),
        ({"state": "captured"}, 1000, "refunded"),
        ({"state": "captured"}, 250, "2.50 refunded"),
        ({"state": "captured", "amount_captured": 900}, 900, "9.00 taken · refunded"),
        ({"state": "partially_captured", "amount_captured": 400}, 0, "4.00 taken"),
        ({"state": "declined", "decline_code": "limit_exceeded"}, 0, "limit exceeded"),
    ],
)
def test_a_line_says_what_became_of_the_amount(
    shop: Any, reader: WarehouseReader, changes: dict[str, Any], given_back: int, note: str
) -> None:
    made = shop.payment(now(), **{"amount": 1000, "currency": "EUR", "decline_code": None} | changes)
    shop.take(made)
    if given_back:
        shop.refund(made, given_back)
    [line] = latest.latest(reader.query(latest.QUERY), now())
    assert (line.state, line.note, line.amount) == (changes["state"].replace("_", " "), note, "10.00")


def test_the_page_is_as_old_as_its_oldest_topic() -> None:
    table = Table(
        ["topic", "lag", "age_ms", "delay_ms", "records"], [("a.v1", 0, 200, 1, 5), ("b.v1", 7, 9000, 1, 5)]
    )
    figures = health.health(table, 1.5)
    assert figures.age_s == 10.5
    assert [(topic.name, topic.lag, topic.late) for topic in figures.topics] == [("a", 0, False), ("b", 7, True)]


def test_messages_are_counted_by_what_became_of_them(shop: Any, reader: WarehouseReader) -> None:
    shop.sell(200, timedelta(seconds=60))
    lines = messages.channels(reader.query(messages.QUERY))
    assert [line.name for line in lines] == ["E-mail", "SMS"]
    sql = "SELECT count(*) FROM notifications"
    assert sum(line.delivered + line.suppressed + line.failed for line in lines) == reader.query(sql).rows[0][0]
