"""Which number of labels a day is a burst, and that a burst of some days does not become usual."""

from datetime import date, timedelta

from gateway.payments.label_bursts import is_burst

TODAY = date(2026, 11, 27)


def days(*counts: int) -> dict[str, int]:
    """Counts of today, yesterday, …"""
    return {(TODAY - timedelta(days=back)).isoformat(): count for back, count in enumerate(counts)}


def burst(denying: dict[str, int]) -> bool:
    """Whether it is one, where all were believed."""
    return is_burst(denying, denying, TODAY, 25)


def test_a_source_without_a_past_has_the_floor() -> None:
    assert not burst(days(25))
    assert burst(days(26))


def test_three_times_the_usual_number_is_none() -> None:
    assert not burst(days(90, *[30] * 28))
    assert burst(days(91, *[30] * 28))


def test_a_burst_goes_on_from_the_first_label_of_the_next_day() -> None:
    assert burst(days(0, 500, *[30] * 27))
    assert not burst(days(0, 40, 500, *[30] * 26))


def test_two_weeks_of_a_burst_do_not_become_usual() -> None:
    assert burst(days(500, *[500] * 14, *[30] * 15))


def test_what_waits_never_becomes_usual_and_what_a_person_lets_through_does() -> None:
    told = days(500, *[500] * 29)
    assert is_burst(told, days(*[30] * 30), TODAY, 25)
    assert not is_burst(told, days(*[200] * 30), TODAY, 25)
