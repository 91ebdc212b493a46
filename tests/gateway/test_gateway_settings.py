"""The gateway's settings, as its environment says them."""

from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from schemas.settings import BadSetting, load


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (
        "DATA",
        "PROFILE",
        "SEED",
        "UNKNOWN_WINDOW",
        "LEASE",
        "DATABASE_URL",
        "PUBLIC_URL",
        "PORT_OFFSET",
    ):
        monkeypatch.delenv(f"SLUICE_{name}", raising=False)
    return monkeypatch


def test_defaults_follow_the_profile(bare: pytest.MonkeyPatch) -> None:
    assert load(GatewaySettings).unknown_window_s == 5
    assert load(GatewaySettings).public_url == "http://localhost:8080"
    bare.setenv("SLUICE_PROFILE", "production")
    bare.setenv("SLUICE_PUBLIC_URL", "https://pay.example")
    assert load(GatewaySettings).unknown_window_s == 60


def test_what_is_set_wins(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("SLUICE_UNKNOWN_WINDOW", "0.5")
    bare.setenv("SLUICE_LEASE", "20")
    bare.setenv("SLUICE_PORT_OFFSET", "100")
    settings = load(GatewaySettings)
    assert (settings.unknown_window_s, settings.lease_s) == (0.5, 20)
    assert settings.public_url == "http://localhost:8180"


def test_a_lease_must_outlive_a_call(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("SLUICE_LEASE", "10")
    with pytest.raises(BadSetting, match="SLUICE_LEASE"):
        load(GatewaySettings)


@pytest.mark.parametrize("name", ["LOOKALIKES", "LOOKALIKES_PER_ACCOUNT", "LOOKALIKES_PER_ADDRESS"])
def test_somebody_must_be_able_to_add_a_card(bare: pytest.MonkeyPatch, name: str) -> None:
    bare.setenv(f"SLUICE_{name}", "0")
    with pytest.raises(BadSetting, match="SLUICE_LOOKALIKES"):
        load(GatewaySettings)


def test_the_books_lie_in_the_data_directory_or_where_the_url_says(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("SLUICE_DATA", "/srv/sluice")
    assert load(GatewaySettings).books_url() == "sqlite:////srv/sluice/books.sqlite3"
    bare.setenv("SLUICE_DATABASE_URL", "sqlite:////var/lib/books.sqlite3")
    assert load(GatewaySettings).books_url() == "sqlite:////var/lib/books.sqlite3"
    bare.setenv("SLUICE_DATABASE_URL", "postgres://db/sluice?sslmode=require")
    assert load(GatewaySettings).books_url() == "postgresql://db/sluice?sslmode=require"


def test_a_password_may_stand_in_a_file_of_its_own(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("SLUICE_DATA", str(tmp_path))
    bare.setenv("SLUICE_DATABASE_URL", "postgresql://sluice@db:5433/books")
    assert load(GatewaySettings).books_url() == "postgresql://sluice@db:5433/books"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "database.password").write_text("p@ss/word\n")
    named = f"password_file={tmp_path}/secrets/database.password"
    assert load(GatewaySettings).books_url() == f"postgresql://sluice@db:5433/books?{named}"
    bare.setenv("SLUICE_DATABASE_URL", "postgresql://sluice:own@db/books")
    assert load(GatewaySettings).books_url() == "postgresql://sluice:own@db/books"


@pytest.mark.parametrize("url", ["mysql://db/sluice", "postgresql://", "sqlite://books.sqlite3", "nonsense"])
def test_a_database_we_cannot_use_is_named(bare: pytest.MonkeyPatch, url: str) -> None:
    bare.setenv("SLUICE_DATABASE_URL", url)
    with pytest.raises(BadSetting, match="SLUICE_DATABASE_URL"):
        load(GatewaySettings)


@pytest.mark.parametrize(
    "url", ["http://pay.example", "pay.example", "ftp://pay.example", "https://a@pay.example"]
)
def test_tokens_never_travel_in_the_clear(bare: pytest.MonkeyPatch, url: str) -> None:
    bare.setenv("SLUICE_PUBLIC_URL", "https://pay.example")
    assert load(GatewaySettings).public_url == "https://pay.example"
    bare.setenv("SLUICE_PUBLIC_URL", url)
    with pytest.raises(BadSetting, match="SLUICE_PUBLIC_URL"):
        load(GatewaySettings)


@pytest.mark.parametrize("name", ["SLUICE_PROXIES", "SLUICE_METRICS_FROM"])
@pytest.mark.parametrize("given", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1;10.0.0.2"])
def test_what_is_no_network_is_refused(bare: pytest.MonkeyPatch, name: str, given: str) -> None:
    bare.setenv(name, "127.0.0.1, ::1,10.0.0.0/8,")
    load(GatewaySettings)
    bare.setenv(name, given)
    with pytest.raises(BadSetting, match=name):
        load(GatewaySettings)
