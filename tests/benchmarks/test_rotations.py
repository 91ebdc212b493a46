"""The short form of `benchmarks.rotations`: secrets are replaced while a gateway takes payments."""

import pytest

from benchmarks.rotations import RotationFigures
from tests.benchmarks.test_gateways import figures_of

pytestmark = [pytest.mark.stack, pytest.mark.postgres, pytest.mark.timeout(400)]


def test_no_payment_fails_while_secrets_are_replaced() -> None:
    figures = figures_of(RotationFigures, "benchmarks.rotations")
    assert figures.failed == {}
    assert min(rotated.calls for rotated in figures.rotated.values()) > 0
    assert {"visa.secret", "database.password", "vault.client", "sql.secret", "gateway.pem"} <= {*figures.rotated}
