"""How long a page believes what the gateway last said of a session."""

import pytest

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import session_checks
from dashboards.door import LOOK_AGAIN_S
from dashboards.gateway_calls import PATIENCE_S
from dashboards.session_checks import ASK_AGAIN_S, BELIEVED_S, Person, SessionChecks

ADA, CUSTOMER = Person("acc_ada", "admin"), Person("acc_ada", "customer")


class Clock:
    """What the checks take for the time, and the gateway that they ask."""

    def __init__(self) -> None:
        self.at = 1_000.0
        self.says: Person | Exception = ADA
        self.asked = 0

    def monotonic(self) -> float:
        return self.at

    def ask(self, _token: str) -> Person:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(session_checks, "time", clock)
    return clock


def test_an_answer_is_believed_for_some_seconds_and_by_all_sessions(clock: Clock) -> None:
    checks = SessionChecks(clock.ask)
    for _ in range(100):
        assert checks.person("token") == ADA
    assert clock.asked == 1


@pytest.mark.parametrize(("says", "left"), [(GatewayRefused(401, "unauthenticated"), None), (CUSTOMER, CUSTOMER)])
def test_who_was_shut_out_is_out_in_time(clock: Clock, says: Person | Exception, left: Person | None) -> None:
    checks = SessionChecks(clock.ask)
    checks.person("token")
    clock.says, clock.at = says, clock.at + ASK_AGAIN_S
    assert checks.person("token") == left


def test_a_gateway_that_starts_anew_shuts_nobody_out_and_one_that_stays_away_does(clock: Clock) -> None:
    checks = SessionChecks(clock.ask)
    checks.person("token")
    clock.says, clock.at = GatewayUnavailable("away"), clock.at + BELIEVED_S - 1
    assert checks.person("token") == ADA
    clock.at += 1
    with pytest.raises(GatewayUnavailable):
        checks.person("token")
    with pytest.raises(GatewayUnavailable):
        checks.person("another token")


def test_too_many_requests_end_no_session(clock: Clock) -> None:
    checks = SessionChecks(clock.ask)
    clock.says = GatewayRefused(429, "rate_limited")
    with pytest.raises(GatewayUnavailable):
        checks.person("token")


def test_whoever_is_looked_at_all_the_time_is_out_within_30_seconds() -> None:
    assert max(ASK_AGAIN_S + PATIENCE_S, BELIEVED_S) + LOOK_AGAIN_S <= 30
