"""Ids that sort by birth and pass for no card number; times that survive the books."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from schemas.cards import find_numbers
from schemas.ids import LENGTH, new_id
from schemas.times import from_micros, now, now_micros, to_micros


def test_ids_are_unique_sort_by_birth_and_hold_no_card_number() -> None:
    ids = [new_id("pay") for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    births = [made[: len("pay_") + 9] for made in ids]  # 45 of the 48 bits of milliseconds
    assert births == sorted(births)
    assert {len(made) for made in ids} == {len("pay_") + LENGTH}
    assert not find_numbers(" ".join(ids))


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_a_moment_survives_the_books_to_the_microsecond(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    there = datetime(2026, 11, 23, 15, 31, tzinfo=timezone(timedelta(hours=1)))
    assert to_micros(there) == to_micros(datetime(2026, 11, 23, 14, 31, tzinfo=UTC))


def test_now_is_now() -> None:
    assert abs(now_micros() - to_micros(now())) < 60_000_000
    assert now().tzinfo is UTC
