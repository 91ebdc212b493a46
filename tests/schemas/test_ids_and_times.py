"""Ids that sort by birth and pass for no card number; times that survive the books."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from schemas.cards import find_numbers
from schemas.ids import LENGTH, born_at, earliest_id, new_id
from schemas.times import from_micros, now, now_micros, to_micros


def test_ids_are_unique_sort_by_birth_and_hold_no_card_number() -> None:
    ids = [new_id("pay") for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    births = [made[: len("pay_") + 9] for made in ids]  # 45 of the 48 bits of milliseconds
    assert births == sorted(births)
    assert {len(made) for made in ids} == {len("pay_") + LENGTH}
    assert not find_numbers(" ".join(ids))


@given(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_an_id_tells_when_it_was_made_to_the_millisecond(moment: datetime) -> None:
    made = born_at(earliest_id("acc", to_micros(moment)))
    assert made == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_what_is_no_id_of_ours_tells_no_time() -> None:
    assert born_at(new_id("acc")) is not None
    for id in ("acc_merchant", "", "acc_" + "z" * LENGTH, new_id("acc")[:-1], f"{new_id('acc')}\n"):
        assert born_at(id) is None


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_a_moment_survives_the_books_to_the_microsecond(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    there = datetime(2026, 11, 23, 15, 31, tzinfo=timezone(timedelta(hours=1)))
    assert to_micros(there) == to_micros(datetime(2026, 11, 23, 14, 31, tzinfo=UTC))


def test_now_is_now() -> None:
    assert abs(now_micros() - to_micros(now())) < 60_000_000
    assert now().tzinfo is UTC
