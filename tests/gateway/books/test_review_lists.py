"""The queue of reviews: under any filters each that fulfils them, once, in the order that was asked for."""

import random
from itertools import combinations
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books import review_lists
from gateway.books.assignments import give_back, take
from gateway.books.payments import insert_payment
from gateway.books.review_lists import Place, ReviewFilter, list_reviews, place_of
from gateway.books.reviews import NO_SCORE, Review, decide, insert_review, select_review
from schemas.ids import new_id
from schemas.times import steady_micros
from tests.gateway.payments import situations

FILTERS: dict[str, Any] = {"assigned_to": "acc_me", "reason": "rare", "kind": "late"}


def stored(conn: Connection, count: int) -> list[Review]:
    """Reviews with values at random, of which some are decided and some taken; the newest first."""
    chance, ids = random.Random(7), []
    for _ in range(count):
        payment = insert_payment(conn, msgspec.structs.replace(situations.payment(), id=new_id("pay")))
        reasons = chance.sample(["rare", "often", "other"], chance.randint(1, 2))
        rank = chance.choice([NO_SCORE, 0, 5, 5, 9])
        review = Review(
            id=new_id("rev"),
            payment_id=payment.id,
            opened_at=1,
            decision=None,
            reason=None,
            amount=500,
            currency="EUR",
            risk=None,
            kind=chance.choice(["held", "held", "late"]),
            reasons=msgspec.json.encode(reasons).decode(),
            amount_captured=0,
            decided_by=None,
            decided_at=None,
            sequence=1,
            expected_loss=None if rank == NO_SCORE else rank,
            loss_rank=rank,
        )
        insert_review(conn, review, reasons)
        if chance.random() < 0.6:
            take(conn, review.id, chance.choice(["acc_me", "acc_other"]))
        if chance.random() < 0.3:
            decide(conn, review, "approve", "known", None, 2)
        ids.append(review.id)
    return [review for review_id in ids[::-1] if (review := select_review(conn, review_id))]


def fulfils(review: Review, wanted: ReviewFilter) -> bool:
    """What a list shows, said once more without an index."""
    if wanted.is_open is not None and wanted.is_open != (review.decision is None):
        return False
    if wanted.assigned_to is not None and review.holder(steady_micros()) != wanted.assigned_to:
        return False
    if wanted.kind is not None and review.kind != wanted.kind:
        return False
    return wanted.reason is None or wanted.reason in msgspec.json.decode(review.reasons or "[]")


def expected(rows: list[Review], wanted: ReviewFilter) -> list[str]:
    fulfilling = [review for review in rows if fulfils(review, wanted)]
    return [review.id for review in sorted(fulfilling, key=lambda r: place_key(r, wanted), reverse=True)]


def place_key(review: Review, wanted: ReviewFilter) -> tuple[bool, int, str]:
    is_ended, rank, review_id = place_of(review, wanted.order)
    return not is_ended, rank, review_id


def pages(conn: Connection, wanted: ReviewFilter, most: int = 5) -> list[str]:
    seen: list[str] = []
    after: Place | None = None
    while True:
        found = list_reviews(conn, after, most, wanted)
        seen += [review.id for review in found.rows]
        after = found.reached
        if after is None:
            return seen


@pytest.mark.parametrize("scans", [review_lists.SCANS, (3, 7)])
def test_each_page_under_any_filters_has_what_fulfils_them_in_order(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, scans: tuple[int, ...]
) -> None:
    monkeypatch.setattr(review_lists, "SCANS", scans)
    rows = stored(conn, 90)
    for names in [(), *combinations(FILTERS, 1), *combinations(FILTERS, 2), tuple(FILTERS)]:
        for is_open in (None, True, False):
            for order in ("newest", "expected_loss"):
                given = {name: FILTERS[name] for name in names}
                wanted = ReviewFilter(is_open=is_open, order=order, **given)  # type: ignore[arg-type]
                assert pages(conn, wanted) == expected(rows, wanted), wanted


def test_what_stays_open_is_shown_once_whatever_is_decided_taken_or_given_back_meanwhile(conn: Connection) -> None:
    rows = stored(conn, 60)
    wanted = ReviewFilter(is_open=True, order="expected_loss")
    stays = [review_id for number, review_id in enumerate(expected(rows, wanted)) if number % 3]
    seen: list[str] = []
    after: Place | None = None
    while True:
        found = list_reviews(conn, after, 4, wanted)
        seen += [review.id for review in found.rows]
        for review in found.rows:
            if review.id in stays:
                take(conn, review.id, "acc_late") or give_back(conn, review.id, "acc_me")
            else:
                decide(conn, review, "reject", "stolen", None, 3)
        after = found.reached
        if after is None:
            break
    assert [review_id for review_id in seen if review_id in stays] == stays
    assert len(set(seen)) == len(seen)


def test_a_page_looks_at_a_bounded_number_of_rows(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_lists, "SCANS", (3, 7))
    stored(conn, 90)
    found = list_reviews(conn, None, 100, ReviewFilter(is_open=True, reason="often", kind="late"))
    assert found.reached is not None
    assert list_reviews(conn, None, 5, ReviewFilter(reason="nobody's", kind="late")).reached is None
