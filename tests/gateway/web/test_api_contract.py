"""The API does what its own description says: the short form of `python -m benchmarks.api_contract`."""

import pytest

from benchmarks.api_contract import ACCEPTED, REFUSED_THOUGH_VALID, hold
from tests.gateway.web.conftest import ServedGateway


def test_the_api_keeps_to_its_description(served: ServedGateway) -> None:
    figures = hold(served.url, served.tokens, ("admin",), examples=2, seed=4111, phases=("examples", "fuzzing"))
    assert figures.findings == []
    assert figures.errors == []
    assert figures.requests["admin"] > 100
    assert figures.checks["response_schema_conformance"] > 50


def refused(*paths: str, code: str = "invalid_request") -> dict[str, object]:
    """What a problem says."""
    return {"code": code, "errors": [{"path": path} for path in paths]}


@pytest.mark.parametrize(
    ("check", "operation", "problem", "is_accepted"),
    [
        (REFUSED_THOUGH_VALID, "GET /v1/cards", refused("$.cursor"), True),
        (REFUSED_THOUGH_VALID, "GET /v1/cards", refused("$.cursor", "$.limit"), False),
        (REFUSED_THOUGH_VALID, "GET /v1/cards", refused(), False),
        (REFUSED_THOUGH_VALID, "POST /v1/merchants", refused("$.origins[3]"), True),
        (REFUSED_THOUGH_VALID, "POST /v1/payments", refused("$.merchant"), True),
        (REFUSED_THOUGH_VALID, "POST /v1/login", refused("$.password"), False),
        ("not_a_server_error", "GET /v1/cards", refused(code="internal"), False),
        ("not_a_server_error", "GET /v1/cards", refused(code="unavailable"), False),
        ("not_a_server_error", "GET /readyz", refused(code="unavailable"), True),
    ],
)
def test_what_is_accepted_is_narrow(
    check: str, operation: str, problem: dict[str, object], is_accepted: bool
) -> None:
    assert any(one.covers(check, operation, problem) for one in ACCEPTED) == is_accepted


def test_every_exception_has_a_reason() -> None:
    assert all(one.reason for one in ACCEPTED)
