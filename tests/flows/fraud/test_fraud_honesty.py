"""The scores are honest: nothing of a label is known before it is told, and what is told is used."""

import msgspec
import pytest

from flows.fraud.inputs import DAY, PaymentInput
from flows.fraud.pipeline import score_prequentially
from sluice.fraud_metrics import rank_metrics

Shop = list[tuple[PaymentInput, bool]]
WEEK = 7 * DAY


def given(shop: Shop, delay: float) -> list[float]:
    return [score for _, score in score_prequentially(shop, delay)]


def flipped(shop: Shop, after: float, until: float) -> Shop:
    return [(payment, fraud != (after < payment.at <= until)) for payment, fraud in shop]


def test_labels_younger_than_the_delay_change_no_score(shop: Shop) -> None:
    cut = shop[len(shop) * 2 // 3][0].at
    before = sum(payment.at <= cut for payment, _ in shop)
    scrambled = flipped(shop, cut - WEEK, float("inf"))
    assert given(shop, WEEK)[:before] == given(scrambled, WEEK)[:before]


def test_labels_older_than_the_delay_do(shop: Shop) -> None:
    cut = shop[len(shop) * 2 // 3][0].at
    before = sum(payment.at <= cut for payment, _ in shop)
    scrambled = flipped(shop, cut - WEEK - 2 * DAY, cut - WEEK)
    assert given(shop, WEEK)[:before] != given(scrambled, WEEK)[:before]


def test_labels_at_once_are_clearly_better_than_a_week_late(shop: Shop) -> None:
    half = len(shop) // 2
    frauds = [fraud for _, fraud in shop[half:]]
    late = rank_metrics(list(zip(given(shop, WEEK)[half:], frauds, strict=True)))[1]
    at_once = rank_metrics(list(zip(given(shop, 0)[half:], frauds, strict=True)))[1]
    share = sum(frauds) / len(frauds)
    assert at_once > late + 0.1
    assert late > 2 * share, "a week late must still be better than guessing"


def test_the_same_list_gives_the_same_scores_bit_for_bit(shop: Shop) -> None:
    part = shop[:1500]
    copy = [(msgspec.structs.replace(payment), fraud) for payment, fraud in part]
    assert given(part, WEEK) == given(copy, WEEK)


def test_the_scores_are_those_of_the_version_that_was_evaluated(shop: Shop) -> None:
    """Whoever makes it faster must leave them; whoever changes them on purpose evaluates anew and pins these."""
    found = given(shop, WEEK)
    assert sum(found) == pytest.approx(989.2332496778118, rel=1e-9)
    assert sum(number * score for number, score in enumerate(found)) == pytest.approx(2975487.112175464, rel=1e-9)
