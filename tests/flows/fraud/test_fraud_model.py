"""The model: what it learns, what it refuses, and that it goes on where it was."""

import math

import msgspec
import pytest

from flows.fraud.facts import Facts, Features, Lesson
from flows.fraud.model import Learned, Model, Unscored
from flows.fraud.prequential import Line

Shop = list[tuple[Facts, bool]]


def lessons(shop: Shop, most: int = 1500) -> list[Lesson]:
    line = Line()
    return [
        Lesson(f"l_{f.payment}", f.instrument, f.merchant, f.currency, fraud, f.at, line.features(f))
        for f, fraud in shop[:most]
    ]


@pytest.fixture(scope="module")
def learned(shop: Shop) -> tuple[Model, list[Lesson]]:
    model, taught = Model(), lessons(shop)
    for lesson in taught[:1000]:
        assert model.learn(lesson)
    return model, taught


def features_of(lesson: Lesson) -> Features:
    assert lesson.features
    return lesson.features


def test_it_goes_on_bit_for_bit_from_what_it_kept(learned: tuple[Model, list[Lesson]]) -> None:
    first, taught = learned
    kept = msgspec.msgpack.encode(first.learned())
    again = Model(msgspec.msgpack.decode(kept, type=Learned))
    twin = Model(msgspec.msgpack.decode(kept, type=Learned))
    assert again.version == first.version
    for lesson in taught[1000:]:
        assert again.score(features_of(lesson), "EUR") == twin.score(features_of(lesson), "EUR")
        again.learn(lesson)
        twin.learn(lesson)
    assert again.learned() == twin.learned()


def test_its_state_stays_small(learned: tuple[Model, list[Lesson]]) -> None:
    model, taught = Model(), learned[1]
    for currency in ("EUR", "USD", "JPY", "GBP", "BHD", "CHF", "SEK", "PLN"):
        for lesson in taught[:200]:
            model.learn(msgspec.structs.replace(lesson, currency=currency))
    assert len(msgspec.msgpack.encode(model.learned())) < 500_000


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_never_scored_nor_learned(
    learned: tuple[Model, list[Lesson]], poison: float
) -> None:
    model, taught = learned
    features = features_of(taught[0]) | {"amount_z": poison}
    with pytest.raises(Unscored):
        model.score(features, "EUR")
    assert not model.learn(msgspec.structs.replace(taught[0], features=features))


def test_a_missing_feature_is_never_scored_nor_learned(learned: tuple[Model, list[Lesson]]) -> None:
    model, taught = learned
    with pytest.raises(Unscored):
        model.score({"amount": 1.0}, "EUR")
    assert not model.learn(msgspec.structs.replace(taught[0], features={"amount": 1.0}))
    assert not model.learn(msgspec.structs.replace(taught[0], features=None))


def test_huge_numbers_are_scored_as_huge(learned: tuple[Model, list[Lesson]]) -> None:
    model, taught = learned
    assert 0 <= model.score(features_of(taught[0]) | {"amount": 1e308}, "EUR") <= 1


def test_the_version_names_the_labels_and_their_order(learned: tuple[Model, list[Lesson]]) -> None:
    taught = learned[1]
    one, other = Model(), Model()
    assert one.version == other.version
    for lesson in taught[:2]:
        one.learn(lesson)
    for lesson in reversed(taught[:2]):
        other.learn(lesson)
    assert one.version != other.version
    assert one.version.endswith("-2")


def test_what_another_recipe_learned_is_left(learned: tuple[Model, list[Lesson]]) -> None:
    kept = msgspec.structs.replace(learned[0].learned(), recipe="other")
    assert Model(kept).labels == 0


def test_drivers_are_features_that_speak_for_fraud(learned: tuple[Model, list[Lesson]]) -> None:
    model, taught = learned
    fraud = next(lesson for lesson in taught if lesson.fraud)
    drivers = model.drivers(features_of(fraud), "EUR")
    assert drivers
    assert set(drivers) <= set(features_of(fraud))
