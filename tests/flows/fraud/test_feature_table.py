"""The table of features is the whole truth: every value that the stages give stands in it, within its range."""

from msgspec.structs import replace

from flows.fraud.inputs import Features, PaymentInput
from flows.fraud.pipeline import ScoringPipeline, outcome_of
from flows.fraud.scoring import ScoredPayment
from schemas.features import FEATURES

Shop = list[tuple[PaymentInput, bool]]
COMPUTED = {name for name, feature in FEATURES.items() if feature.source == "feature"}


def everything_named(number: int, payment: PaymentInput) -> PaymentInput:
    """The payment with all that a payment may name; some details change from payment to payment."""
    return replace(
        payment,
        country=("FR", "DE", "JP")[number % 3],
        device_hash=f"device {number % 7}",
        customer_id=f"customer of {payment.instrument_id}",
        address_id=f"address {number % 11}",
        bin_id=f"{number % 5}",
        network_id=f"network {number % 4}",
        domain_id=f"domain {number % 3}",
        eur_cents=payment.amount,
    )


def features_of(shop: Shop) -> list[Features]:
    pipeline, found = ScoringPipeline(1_000_000, min_labels=0), []
    for payment, fraud in shop:
        item = ScoredPayment(payment.payment_id, payment)
        assert pipeline.process(item)
        assert item.fault is None
        found.append(item.features)
        pipeline.process(outcome_of(payment, paid=not fraud))
    return found


def test_every_feature_stands_in_the_table_and_every_entry_is_computed(shop: Shop) -> None:
    named = [(everything_named(number, payment), fraud) for number, (payment, fraud) in enumerate(shop)]
    assert set().union(*features_of(named)) == COMPUTED | {"amount"}


def test_no_value_is_out_of_the_range_that_the_table_says(shop: Shop) -> None:
    named = [(everything_named(number, payment), fraud) for number, (payment, fraud) in enumerate(shop[:2000])]
    for features in features_of(named):
        for name, value in features.items():
            low, high = FEATURES[name].low, FEATURES[name].high
            assert low is None or low <= value, name
            assert high is None or value <= high, name


def test_each_entry_is_described() -> None:
    for feature in FEATURES.values():
        assert feature.key
        assert feature.meaning.endswith(".")
        assert feature.source == "feature" or feature.key == ("payment",)
        assert feature.type == "number" or (feature.low, feature.high) == (None, None)
