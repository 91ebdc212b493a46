"""How the dashboards start: the secrets that Streamlit reads, and addresses that would give them away."""

import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from connectors.keyfiles import SecretMissing
from dashboards.__main__ import login, options
from dashboards.settings import DashboardSettings
from gateway.seed import CALLBACK, DASHBOARDS
from schemas.settings import BadSetting


def test_streamlit_is_told_all_that_it_asks_for(tmp_path: Path) -> None:
    settings = DashboardSettings(data=tmp_path, dashboard_url="https://pay.example/")
    auth = tomllib.loads(login(settings))["auth"]
    assert auth["redirect_uri"] == f"https://pay.example{CALLBACK}"
    assert auth["client_id"] == DASHBOARDS
    assert auth["client_secret"] == (tmp_path / "secrets" / f"{DASHBOARDS}.secret").read_text()
    assert auth["cookie_secret"] not in ("", auth["client_secret"])
    assert auth["server_metadata_url"] == "http://localhost:8080/.well-known/openid-configuration"
    assert auth["expose_tokens"] == ["access"]
    assert tomllib.loads(login(settings))["auth"] == auth


def test_in_production_an_operator_provides_its_secrets(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing):
        login(DashboardSettings(data=tmp_path, profile="production"))
    command = [sys.executable, "-m", "dashboards"]
    given = {"SLUICE_DATA": str(tmp_path), "SLUICE_PROFILE": "production"}
    ended = subprocess.run(command, env=given, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 1
    assert "dashboard.cookie does not exist" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["http://pay.example", "https://pay.example/dashboards", "ftp://localhost", "pay"])
@pytest.mark.parametrize("name", ["dashboard_url", "public_url"])
def test_no_cookie_and_no_token_travels_in_clear(name: str, url: str) -> None:
    with pytest.raises(BadSetting, match=f"SLUICE_{name.upper()}"):
        msgspec.structs.replace(DashboardSettings(), **{name: url})


def test_its_hosts_are_those_that_were_given(tmp_path: Path) -> None:
    settings = DashboardSettings(dashboard_hosts="pay.example, ", host="0.0.0.0")
    given = options(settings, tmp_path / "x.toml")
    assert given["server.allowedHosts"][-2:] == ["0.0.0.0", "pay.example"]
    assert given["secrets.files"] == [str(tmp_path / "x.toml")]
