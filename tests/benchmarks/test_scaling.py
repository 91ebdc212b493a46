"""The lines of `benchmarks.scaling`, through made-up measurements."""

from benchmarks.scaling import fitted

RATES = {10.0: 10.0, 20.0: 20.0, 40.0: 40.0}


def test_the_line_goes_through_two_rates_and_is_held_against_another() -> None:
    used = {rate: {"gateway": 0.1 + 0.004 * rate, "load generator": 1.0} for rate in RATES}
    used[20.0]["gateway"] = 0.15
    found = fitted(used, RATES, (10.0, 40.0), (20.0,))
    gateway = found.components["gateway"]
    assert (gateway.idle, gateway.ms, gateway.full_at) == (0.1, 4.0, 225)
    assert gateway.cores == {1_000: 4.1, 10_000: 40.1}
    assert gateway.off_percent == {"20/s": 20.0}
    assert found.together == gateway
