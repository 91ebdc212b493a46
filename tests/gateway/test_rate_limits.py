"""Rate limits: a burst at once, then the rate, forgotten keys bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import rate_limits
from gateway.rate_limits import LIMITS, RateLimit, RateLimits

SMALL = RateLimit(per_second=2, burst=3)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "small", SMALL)


def test_a_burst_then_the_rate() -> None:
    spent = RateLimits()
    assert [spent.spend("small", "a", 100.0).remaining for _ in range(3)] == [2, 1, 0]
    refused = spent.spend("small", "a", 100.0)
    assert refused.retry_after_s == 1
    assert refused.headers() == {"RateLimit-Limit": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "2"}
    assert spent.spend("small", "a", 100.5).retry_after_s == 0
    assert spent.spend("small", "a", 100.5).retry_after_s == 1


def test_a_refused_request_spends_nothing() -> None:
    spent = RateLimits()
    for _ in range(3):
        spent.spend("small", "a", 0.0)
    for _ in range(100):
        spent.spend("small", "a", 0.1)
    assert spent.spend("small", "a", 0.5).retry_after_s == 0


def test_300_payments_a_second_stay_within_the_limit_of_the_service_that_tells_of_them() -> None:
    spent = RateLimits()
    for second in range(60):  # each with three events to tell of
        assert all(spent.spend("service", "notifications", second).retry_after_s == 0 for _ in range(900))


def test_keys_and_classes_are_apart() -> None:
    spent = RateLimits()
    for _ in range(3):
        spent.spend("small", "a", 0.0)
    assert spent.spend("small", "b", 0.0).retry_after_s == 0
    assert spent.spend("default", "a", 0.0).retry_after_s == 0


def test_who_spent_their_burst_gets_no_new_one_by_bringing_fifty_thousand_keys() -> None:
    spent = RateLimits()
    for _ in range(3):
        spent.spend("small", "a", 0.0)
    for number in range(50_000):
        spent.spend("small", f"flood {number}", 0.1)
    assert spent.spend("small", "a", 0.1).retry_after_s == 1
    assert len(spent._cells["small"]._whole_at) <= rate_limits.KEYS_MAX + SMALL.shared


def test_a_flood_of_keys_in_one_class_changes_nothing_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYS_MAX", 10)
    spent = RateLimits()
    for _ in range(3):
        spent.spend("small", "a", 0.0)
    for number in range(100):
        spent.spend("login", f"flood {number}", 0.1)
    assert spent.spend("small", "a", 0.1).retry_after_s == 1
    assert spent.spend("small", "b", 0.1).remaining == 2


def test_keys_beyond_a_full_table_share_one_limit_and_logins_fail_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYS_MAX", 10)
    spent = RateLimits()
    admitted = sum(spent.spend("small", f"key {number}", 0.0).retry_after_s == 0 for number in range(1_000))
    assert admitted == 10 + SMALL.burst


def test_payers_beyond_a_full_table_pay_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYS_MAX", 10)
    spent = RateLimits()
    for number in range(10):
        spent.spend("payments", f"flood {number}", 0.0)
    spent_all = [spent.spend("payments", "one of the flood", 0.0).retry_after_s for _ in range(2_000)]
    assert spent_all[-1] > 0
    honest = [spent.spend("payments", f"payer {number}", 0.0).retry_after_s for number in range(1_000)]
    assert honest.count(0) > 980  # a few share a cell with the flood


def test_a_full_table_is_empty_again_once_its_bursts_are_whole() -> None:
    spent = RateLimits()
    for number in range(rate_limits.KEYS_MAX):
        spent.spend("small", f"flood {number}", 0.0)
    for number in range(100):
        spent.spend("small", f"later {number}", 10.0)
    assert len(spent._cells["small"]._whole_at) == rate_limits.KEYS_MAX - 100
    assert "later 99" in spent._cells["small"]._whole_at


def test_a_look_spends_nothing() -> None:
    spent = RateLimits()
    assert [spent.look("small", "a", 0.0).remaining for _ in range(9)] == [2] * 9
    for _ in range(3):
        spent.spend("small", "a", 0.0)
    assert spent.look("small", "a", 0.0).retry_after_s == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_never_more_than_burst_and_rate_allow(gaps: list[float]) -> None:
    spent, now, admitted = RateLimits(), 1_000.0, 0
    for gap in gaps:
        now += gap
        answer = spent.spend("small", "a", now)
        admitted += answer.retry_after_s == 0
        assert 0 <= answer.remaining <= SMALL.burst
    assert admitted <= SMALL.burst + SMALL.per_second * (now - 1_000.0) + 1


@given(st.integers(1, 30))
def test_waiting_as_told_is_enough(hurried: int) -> None:
    spent = RateLimits()
    answers = [spent.spend("small", "a", 5.0) for _ in range(hurried)]
    if answers[-1].retry_after_s:
        assert spent.spend("small", "a", 5.0 + answers[-1].retry_after_s).retry_after_s == 0
