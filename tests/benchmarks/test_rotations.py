"""The short form of `benchmarks.rotations`: secrets are replaced while a gateway takes payments."""

import subprocess
import sys

import msgspec
import pytest

from benchmarks.rotations import RotationFigures

pytestmark = [pytest.mark.stack, pytest.mark.postgres, pytest.mark.timeout(400)]


def test_no_payment_fails_while_secrets_are_replaced() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.rotations"], capture_output=True, timeout=380, check=False
    )
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()[-2000:]
    figures = msgspec.json.decode(ran.stdout, type=RotationFigures)
    assert figures.failed == {}
    assert min(rotated.calls for rotated in figures.rotated.values()) > 0
    assert {"visa.secret", "database.password", "vault.client", "sql.secret", "gateway.pem"} <= {*figures.rotated}
