"""The tiles of the page of reviews, by their own SQL over a real warehouse, against rows counted here."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.warehouse import Table, WarehouseReader
from dashboards import review_tiles
from dashboards.look import Look
from dashboards.tile import Tile
from flows.analytics.ingest import ingest
from schemas.events import new_event
from schemas.fraud import Verdict
from schemas.ids import new_id
from schemas.payments import Payment
from schemas.reviews import PaymentReview, ReviewEvent, ReviewOutcome
from schemas.times import now
from schemas.topics import REVIEWS, RISK
from tests.dashboards.sold import is_approved, is_refused


def rows(reader: WarehouseReader, tile: Tile, id: str = "") -> Sequence[tuple[Any, ...]]:
    table: Table = reader.query(tile.statement(Look("24h"), id))
    return [tuple(row) for row in table.rows]


def tell(shop: Any, topic: str, type: str, subject: str, data: Any) -> None:
    """Write a record, twice, as a topic may have it."""
    record = shop._record(topic, new_event(type, "/", subject, data, now()))
    shop.warehouse.write([ingest(record), ingest(record)])


def held(shop: Any, amount: int, currency: str, reasons: list[str], opened_at: datetime, **more: Any) -> Payment:
    """A payment with a review, which `decision` ends; `score`: of its verdict, None: there is none."""
    decision: ReviewOutcome | None = more.pop("decision", None)
    score = more.pop("score", None)
    payment: Payment = shop.payment(opened_at, amount=amount, currency=currency, state="in_review", **more)
    shop.take(payment)
    review_id = new_id("rev")
    for sequence in (1, 2) if decision else (1,):
        ended = {"decision": decision, "decided_by": "acc_ana", "decided_at": now()} if sequence == 2 else {}
        undecided = {"decision": None, "decided_by": None, "decided_at": None}
        review = PaymentReview(
            id=review_id,
            payment=payment.id,
            kind="held",
            merchant=payment.merchant,
            amount=amount,
            currency=currency,
            reasons=reasons,
            opened_at=opened_at,
            **(undecided | ended),  # type: ignore[arg-type]
        )
        type = "review.decided" if ended else "review.opened"
        tell(shop, REVIEWS.name, type, review_id, ReviewEvent(sequence, now(), review))
    if score is not None:
        tell(shop, RISK.name, "risk.verdict", payment.id, verdict(payment, score, reasons))
    return payment


def verdict(payment: Payment, score: float, reasons: list[str]) -> Verdict:
    return Verdict(
        payment=payment.id,
        instrument=payment.stream_key,
        merchant=payment.merchant,
        outcome="review",
        source="model",
        score=score,
        reasons=reasons,
        features={},
        model="m1",
        rules="r1",
        flow_sequence=1,
        input_partition=0,
        input_offset=0,
        latency_ms=1.0,
        occurred_at=payment.occurred_at,
        recorded_at=now(),
    )


def test_what_waits_is_counted_by_currency_and_by_reason(shop: Any, reader: WarehouseReader) -> None:
    oldest = now() - timedelta(hours=3)
    waiting = [(1_000, "EUR", 0.5), (2_000, "EUR", None), (1_500, "EUR", 0.9), (900, "JPY", 0.25)]
    for number, (amount, currency, score) in enumerate(waiting):
        reasons = ["card_testing", *(["new_device"] if number % 2 else [])]
        held(shop, amount, currency, reasons, oldest + timedelta(minutes=number), score=score)
    held(shop, 99_999, "EUR", ["card_testing"], oldest - timedelta(days=1), score=1.0, decision="approve")
    euro, yen = rows(reader, review_tiles.OPEN)
    assert euro[:5] == ("EUR", 3, 4_500, 500 + 1_350, 1)
    assert yen[:5] == ("JPY", 1, 900, 225, 0)
    assert abs(euro[5] - oldest) < timedelta(seconds=1)
    assert [row[:2] for row in rows(reader, review_tiles.WHY)] == [("card_testing", 4), ("new_device", 2)]


def test_the_history_of_a_case_is_of_its_payer_and_of_its_card_without_itself(
    shop: Any, reader: WarehouseReader
) -> None:
    moment = now()
    case = held(shop, 500, "EUR", ["odd"], moment, customer="acc_cas", stream_key="ins_1")
    others = [
        shop.payment(
            moment - timedelta(minutes=number),
            customer="acc_cas" if number % 2 else "acc_bob",
            stream_key="ins_1" if number % 3 else "ins_2",
            currency="EUR" if number % 4 else "JPY",
        )
        for number in range(1, 40)
    ]
    for payment in others:
        shop.take(payment)
    shop.refund(others[0], 1)
    whose = {"customer": lambda p: p.customer == "acc_cas", "card": lambda p: p.stream_key == "ins_1"}
    tiles = {
        "customer": (review_tiles.CUSTOMER_FIGURES, review_tiles.CUSTOMER_LATEST),
        "card": (review_tiles.CARD_FIGURES, review_tiles.CARD_LATEST),
    }
    for name, is_theirs in whose.items():
        theirs = [payment for payment in others if is_theirs(payment)]
        figures, latest = tiles[name]
        counted = Counter(payment.currency for payment in theirs)
        found = rows(reader, figures, case.id)
        assert {row[0]: row[1] for row in found} == counted
        for row in found:
            own = [payment for payment in theirs if payment.currency == row[0]]
            assert row[2:4] == (sum(map(is_approved, own)), sum(map(is_refused, own)))
            assert row[4] == sum(payment.amount_captured for payment in own)
            assert row[5] == (others[0] in own)
        shown = [row[0] for row in rows(reader, latest, case.id)]
        assert shown == [payment.id for payment in theirs[: review_tiles.LATEST]]
