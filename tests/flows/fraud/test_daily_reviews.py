"""Reviews of the highest scores of each day: when they tell, and of whom."""

import msgspec

from flows.fraud.daily_reviews import DailyReviews
from flows.fraud.inputs import DAY, LabelInput, PaymentInput
from flows.fraud.pipeline import score_prequentially

Shop = list[tuple[PaymentInput, bool]]


def judged(name: str, card: str, score: float, day: float, fraud: bool = False) -> LabelInput:
    return LabelInput(name, card, "acc_m", "EUR", fraud, day * DAY, {}, score)


def told(reviews: DailyReviews, day: float) -> list[str]:
    return [label.label_id for label in reviews.labels_before(day * DAY)]


def test_the_highest_payment_of_each_of_the_highest_cards_is_told_when_the_day_is_over() -> None:
    reviews = DailyReviews(2)
    assert told(reviews, 5.1) == []
    for label in (judged("a1", "a", 0.9, 5.1), judged("a2", "a", 0.8, 5.2), judged("b", "b", 0.1, 5.3)):
        reviews.add(label)
    reviews.add(judged("c", "c", 0.5, 5.4))
    assert told(reviews, 5.9) == [], "the day is not over"
    assert told(reviews, 6.0) == ["a1", "c"]
    assert told(reviews, 6.1) == []
    assert reviews.told == {"a1", "c"}


def test_a_card_that_was_found_stolen_is_not_reviewed_again_for_a_week() -> None:
    reviews = DailyReviews(1)
    told(reviews, 1.0)
    reviews.add(judged("a", "a", 0.9, 1.5, fraud=True))
    assert told(reviews, 2.0) == ["a"]
    for day in (2, 8):
        reviews.add(judged(f"a{day}", "a", 0.9, day + 0.5))
        reviews.add(judged(f"b{day}", "b", 0.1, day + 0.5))
        assert told(reviews, day + 1.0) == [f"b{day}"]
    reviews.add(judged("a9", "a", 0.9, 9.5))
    assert told(reviews, 10.0) == ["a9"]


def test_whose_card_was_stolen_tells_of_its_payments_of_the_week_and_nobody_else_does() -> None:
    reviews = DailyReviews(2)
    told(reviews, 1.0)
    reviews.add(judged("a1", "a", 0.1, 1.5))
    assert told(reviews, 2.0) == ["a1"]
    for name, card, day in (("a2", "a", 2.5), ("b2", "b", 2.5), ("c2", "c", 2.5), ("a9", "a", 9.3)):
        reviews.add(judged(name, card, 0.01, day))
    reviews._highest.clear()  # nobody is reviewed before the tenth day
    reviews.add(judged("a9 stolen", "a", 0.9, 9.5, fraud=True))
    reviews.add(judged("b9", "b", 0.5, 9.6))
    assert told(reviews, 10.0) == ["a9 stolen", "b9", "a9"], "a2 is older than a week"
    reviews.add(judged("d10", "d", 0.9, 10.5, fraud=True))
    assert told(reviews, 11.0) == ["d10"]


def test_no_score_of_a_day_knows_what_its_reviews_tell(shop: Shop) -> None:
    day = int(shop[len(shop) // 2][0].at // DAY)
    until = sum(payment.at < (day + 1) * DAY for payment, _ in shop)
    scrambled = [(msgspec.structs.replace(p), fraud != (int(p.at // DAY) == day)) for p, fraud in shop]
    with_reviews, without = (
        [score for _, score in score_prequentially(each, 7 * DAY, 5)] for each in (shop, scrambled)
    )
    assert with_reviews[:until] == without[:until]
    assert with_reviews[until:] != without[until:]
