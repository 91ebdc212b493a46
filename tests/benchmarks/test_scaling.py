"""The lines of `benchmarks.scaling`, through made-up measurements."""

from benchmarks.scaling import fitted

RATES = {10.0: 10.0, 20.0: 20.0, 40.0: 40.0}


def test_the_line_goes_through_two_rates_and_is_held_against_another() -> None:
    used = {rate: {"vault": 0.1 + 0.004 * rate, "load generator": 1.0} for rate in RATES}
    used[20.0]["vault"] = 0.15
    found = fitted(used, RATES, (10.0, 40.0), (20.0,))
    vault = found.components["vault"]
    assert (vault.idle, vault.ms, vault.full_at) == (0.1, 4.0, 225)
    assert vault.cores == {1_000: 4.1, 10_000: 40.1}
    assert vault.off_percent == {"20/s": 20.0}
    assert found.together == vault
