"""A decline of the gate takes as long as one of an issuer."""

import random

import pytest
from scipy.stats import ks_2samp

from gateway.decline_times import ALIKE, FIRST_S, KEPT, DeclineTimes

DECLINES = 500  # of each kind
TOLD = 0.001  # how seldom two samples of one distribution differ so much that a thief would believe it


def test_a_thief_who_compares_many_declines_learns_nothing() -> None:
    rng, times = random.Random(1), DeclineTimes()
    issuers, gates = [], []
    for number in range(DECLINES):  # one beside the other, while the machine gets warm
        busy = rng.lognormvariate(0, 0.3) * (2 if number < 100 else 1)
        for by_issuer in (True, False):
            waited_s = 0.004 * busy * rng.lognormvariate(0, 0.1)
            took_s = 0.010 * busy * rng.lognormvariate(0, 0.2)
            if by_issuer:
                times.note("visa", waited_s, took_s, declined=True)
                issuers.append(waited_s + took_s)
            else:
                gates.append(waited_s + times.pause("visa", waited_s))
    assert ks_2samp(issuers, gates).pvalue > TOLD
    constant = sum(issuers) / DECLINES
    assert ks_2samp(issuers, [constant] * DECLINES).pvalue < TOLD, "the mean would be told"


def test_before_the_first_decline_any_answer_of_the_processor_tells() -> None:
    times = DeclineTimes()
    assert times.pause("visa", 0.01) == FIRST_S
    times.note("visa", 0.01, 0.03, declined=False)
    assert times.pause("visa", 0.01) == 0.03
    assert times.pause("mastercard", 0.01) == FIRST_S
    times.note("visa", 0.01, 0.04, declined=True)
    assert times.pause("visa", 0.01) == 0.04


def test_payments_whose_verdict_came_as_late_are_what_is_drawn_from() -> None:
    times = DeclineTimes()
    for _ in range(ALIKE):
        times.note("visa", 0.01, 0.02, declined=True)
        times.note("visa", 0.20, 0.50, declined=True)
    assert {times.pause("visa", 0.015) for _ in range(50)} == {0.02}
    assert {times.pause("visa", 0.190) for _ in range(50)} == {0.50}


def test_what_a_decline_of_our_own_takes_beyond_its_pause_is_taken_off_the_next() -> None:
    times = DeclineTimes()
    times.note("visa", 0.01, 0.03, declined=True)
    for seconds in (0.002, 0.002, 0.9):
        times.note_overrun(seconds)
    assert times.pause("visa", 0.01) == pytest.approx(0.028)
    times.note_overrun(1.0)
    times.note_overrun(1.0)
    assert times.pause("visa", 0.01) == 0.0


def test_a_slow_hour_is_forgotten() -> None:
    times = DeclineTimes()
    for _ in range(KEPT):
        times.note("visa", 0.01, 9.0, declined=True)
    for _ in range(KEPT):
        times.note("visa", 0.01, 0.1, declined=True)
    assert {times.pause("visa", 0.01) for _ in range(50)} == {0.1}
