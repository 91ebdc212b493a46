"""`sluice keys rotate --tokens`: the next key is there for every gateway of the secret store."""

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from gateway.identity.signing_keys import FIRST, KEEP_S, LEAD_S, SigningKeys
from gateway.settings import GatewaySettings
from sluice.keys import keys


def rotate(data: Path) -> Result:
    return CliRunner().invoke(keys, ["rotate", "--tokens", "--data", str(data)])


def test_the_next_key_is_put_beside_the_one_of_now_and_old_ones_go(
    tmp_path: Path, set_clock: Callable[[float], None]
) -> None:
    signing = SigningKeys(GatewaySettings(data=tmp_path))
    first = rotate(tmp_path)
    assert first.exit_code == 0
    (fresh,) = (tmp_path / "secrets").glob("gateway.*.pem")
    assert fresh.stat().st_mode & 0o777 == 0o600
    assert first.output.startswith(f"{fresh.name} signs tokens from ")
    assert signing.current().path.name == FIRST
    set_clock((LEAD_S + KEEP_S + 1) / 3600)
    assert f"{FIRST} is deleted" in rotate(tmp_path).output
    assert not (tmp_path / "secrets" / FIRST).exists()


def test_where_no_key_is_and_none_may_be_made_it_says_so(tmp_path: Path) -> None:
    assert rotate(tmp_path / "nothing").exit_code == 0  # the local profile begins a store
    (tmp_path / "secrets").write_text("no directory")
    refused = rotate(tmp_path)
    assert refused.exit_code == 1
    assert "the keys of tokens" in refused.output
