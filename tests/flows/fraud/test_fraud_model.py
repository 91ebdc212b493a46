"""The model: what it learns, what it refuses, and that it goes on where it was."""

import math

import msgspec
import pytest

from flows.fraud.inputs import Features, LabelInput, PaymentInput
from flows.fraud.model import Model, ModelParameters
from flows.fraud.one_hot import Unscored
from flows.fraud.pipeline import ScoringPipeline
from flows.fraud.scoring import ScoredPayment
from flows.fraud.settings import KEYS_MAX

Shop = list[tuple[PaymentInput, bool]]


def labels_of(shop: Shop, most: int = 1500) -> list[LabelInput]:
    pipeline = ScoringPipeline(keys_max=KEYS_MAX, min_labels=0)
    labels = []
    for p, fraud in shop[:most]:
        item = ScoredPayment(p.payment_id, p)
        assert pipeline.process(item)
        labels.append(
            LabelInput(f"l_{p.payment_id}", p.instrument_id, p.merchant_id, p.currency, fraud, p.at, item.features)
        )
    return labels


@pytest.fixture(scope="module")
def learned(shop: Shop) -> tuple[Model, list[LabelInput]]:
    model, taught = Model(), labels_of(shop)
    for label in taught[:1000]:
        assert model.learn(label)
    return model, taught


def features_of(label: LabelInput) -> Features:
    assert label.features
    return label.features


def test_it_goes_on_bit_for_bit_from_what_it_kept(learned: tuple[Model, list[LabelInput]]) -> None:
    first, taught = learned
    kept = msgspec.msgpack.encode(first.parameters())
    again = Model(msgspec.msgpack.decode(kept, type=ModelParameters))
    twin = Model(msgspec.msgpack.decode(kept, type=ModelParameters))
    assert again.version == first.version
    for label in taught[1000:]:
        assert again.score(features_of(label), "EUR") == twin.score(features_of(label), "EUR")
        again.learn(label)
        twin.learn(label)
    assert again.parameters() == twin.parameters()


def test_its_state_stays_small(learned: tuple[Model, list[LabelInput]]) -> None:
    model, taught = Model(), learned[1]
    for currency in ("EUR", "USD", "JPY", "GBP", "BHD", "CHF", "SEK", "PLN"):
        for label in taught[:200]:
            model.learn(msgspec.structs.replace(label, currency=currency))
    assert len(msgspec.msgpack.encode(model.parameters())) < 500_000


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_never_scored_nor_learned(
    learned: tuple[Model, list[LabelInput]], poison: float
) -> None:
    model, taught = learned
    features = features_of(taught[0]) | {"amount_z": poison}
    with pytest.raises(Unscored):
        model.score(features, "EUR")
    assert not model.learn(msgspec.structs.replace(taught[0], features=features))


def test_a_missing_feature_is_never_scored_nor_learned(learned: tuple[Model, list[LabelInput]]) -> None:
    model, taught = learned
    with pytest.raises(Unscored):
        model.score({"amount": 1.0}, "EUR")
    assert not model.learn(msgspec.structs.replace(taught[0], features={"amount": 1.0}))
    assert not model.learn(msgspec.structs.replace(taught[0], features=None))


def test_huge_numbers_are_scored_as_huge(learned: tuple[Model, list[LabelInput]]) -> None:
    model, taught = learned
    assert 0 <= model.score(features_of(taught[0]) | {"amount": 1e308}, "EUR") <= 1


def test_the_version_names_the_labels_and_their_order(learned: tuple[Model, list[LabelInput]]) -> None:
    taught = learned[1]
    one, other = Model(), Model()
    assert one.version == other.version
    for label in taught[:2]:
        one.learn(label)
    for label in reversed(taught[:2]):
        other.learn(label)
    assert one.version != other.version
    assert one.version.endswith("-2")


def test_what_another_recipe_learned_is_left(learned: tuple[Model, list[LabelInput]]) -> None:
    kept = msgspec.structs.replace(learned[0].parameters(), recipe="other")
    assert Model(kept).labels == 0


def test_drivers_are_features_that_speak_for_fraud(learned: tuple[Model, list[LabelInput]]) -> None:
    model, taught = learned
    fraud = next(label for label in taught if label.fraud)
    drivers = model.drivers(features_of(fraud), "EUR")
    assert drivers
    assert set(drivers) <= set(features_of(fraud))
