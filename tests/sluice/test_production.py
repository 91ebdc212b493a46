"""The production profile: what is for demonstrations does not start, and what is missing is one line."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from connectors.kafka_login import login
from connectors.keyfiles import SecretMissing
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.__main__ import main as sandbox
from connectors.sandbox.catcher.__main__ import main as catcher
from connectors.settings import ChannelSettings
from flows.notifications.flow import get_flow
from gateway.__main__ import _check_secrets
from gateway.settings import GatewaySettings
from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting, Settings, load
from sluice.cli import main

SAFE = {
    "PROFILE": "production",
    "PUBLIC_URL": "https://pay.example",
    "MAIL_HOST": "mail.example",
    "DATABASE_URL": "postgresql://sluice@db.example/sluice?sslmode=verify-full",
}
OWN = {f"{name}_URL": "https://processor.example" for name in ("VISA", "MASTERCARD", "PAYPAL")} | {
    "VISA_SECRET": "b3Vycw==",
    "MASTERCARD_PASSWORD": "ours",
    "PAYPAL_SECRET": "ours",
}


@pytest.fixture(autouse=True)
def production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (SAFE | OWN | {"DATA": str(tmp_path / "data")}).items():
        monkeypatch.setenv(f"SLUICE_{name}", value)


@pytest.mark.parametrize("start", [sandbox, catcher])
def test_what_makes_up_the_world_outside_does_not_start(
    start: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert start() == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "for the local profile alone" in line


@pytest.mark.parametrize(
    "words",
    [["run", "sandbox"], ["run", "catcher"], ["run", "shoppers"], ["up", "--only", "sandbox"], ["demo"]],
)
def test_nor_by_our_command(words: list[str]) -> None:
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 1
    assert ran.output.count("\n") == 1
    assert "is for the local profile alone" in ran.output


@pytest.mark.parametrize(
    ("kind", "name", "value", "says"),
    [
        (GatewaySettings, "PUBLIC_URL", "", "SLUICE_PUBLIC_URL"),
        (GatewaySettings, "INTERNAL_URL", "http://gateway", "SLUICE_INTERNAL_URL"),
        (GatewaySettings, "DATABASE_URL", "postgresql://sluice@db.example/sluice", "sslmode=verify-full"),
        (GatewaySettings, "DATABASE_URL", "postgresql://sluice@/sluice?host=db.example", "sslmode=verify-full"),
        (
            GatewaySettings,
            "DATABASE_URL",
            "postgresql://sluice@db.example/sluice?host=/tmp",
            "sslmode=verify-full",
        ),
        (
            GatewaySettings,
            "DATABASE_URL",
            "postgresql://sluice@db.example/s?sslmode=require",
            "sslmode=verify-full",
        ),
        (ChannelSettings, "MAIL_HOST", "", "SLUICE_MAIL_HOST"),
        (ChannelSettings, "MAIL_TLS", "none", "SLUICE_MAIL_TLS"),
        (ChannelSettings, "SMS_COUNTRIES", "DE", "SLUICE_SMS_URL"),
        (ChannelSettings, "SMS_URL", "http://sms.example", "SLUICE_SMS_URL"),
        (ProcessorSettings, "PAYPAL_SECRET", "", "paypal"),
        (Settings, "GATEWAY", "http://gateway.example", "SLUICE_GATEWAY"),
        (Settings, "WAREHOUSE", "http://analytics:9495", "SLUICE_PLAIN_HOSTS"),
    ],
)
def test_what_would_be_made_up_or_cross_a_network_in_clear_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], name: str, value: str, says: str
) -> None:
    load(kind)
    monkeypatch.setenv(f"SLUICE_{name}", value)
    with pytest.raises(BadSetting, match=says):
        load(kind)


@pytest.mark.parametrize(
    ("witness", "says"),
    [
        ("postgresql://vault@db.example/witness", "sslmode=verify-full"),
        ("postgresql://vault:secret@localhost/witness", "SLUICE_VAULT_WITNESS_FILE"),
    ],
)
def test_the_witness_is_asked_by_tls_and_its_password_comes_by_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, witness: str, says: str
) -> None:
    monkeypatch.setenv("SLUICE_VAULT_OTHER", "tls://vault-b:7443")
    monkeypatch.setenv("SLUICE_VAULT_WITNESS", witness)
    with pytest.raises(BadSetting, match=says):
        load(VaultSettings)
    (tmp_path / "witness").write_text("postgresql://vault:secret@db.example/witness?sslmode=verify-full")
    monkeypatch.delenv("SLUICE_VAULT_WITNESS")
    monkeypatch.setenv("SLUICE_VAULT_WITNESS_FILE", str(tmp_path / "witness"))
    assert "secret" in load(VaultSettings).vault_witness


def test_kafka_on_this_machine_is_known_by_ipv6_too_and_its_authorities_are_a_file(tmp_path: Path) -> None:
    there = Settings(data=tmp_path, kafka="[::1]:9094,127.0.0.1:9094", kafka_security="sasl_plaintext")
    msgspec.structs.replace(there, profile="production").check_production()
    elsewhere = Settings(data=tmp_path, kafka="k:9094", kafka_security="sasl_ssl", kafka_ca=tmp_path / "ca.pem")
    with pytest.raises(SecretMissing, match=r"ca\.pem"):
        login(elsewhere, "gateway")


def test_hosts_that_nobody_can_listen_between_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PLAIN_HOSTS", "gateway, postgres")
    monkeypatch.setenv("SLUICE_GATEWAY", "http://gateway:8080")
    monkeypatch.setenv("SLUICE_DATABASE_URL", "postgresql://sluice@postgres/sluice")
    load(GatewaySettings)
    monkeypatch.setenv("SLUICE_DATABASE_URL", "postgresql://sluice@/sluice?host=/run/postgresql")
    monkeypatch.setenv("SLUICE_GATEWAY", "http://localhost:8080")
    load(GatewaySettings)


@pytest.mark.parametrize("missing", ["gateway.key", "prints.key", "gateway.pem", "vault.client"])
def test_the_gateway_says_which_secret_it_lacks(tmp_path: Path, missing: str) -> None:
    made = GatewaySettings(data=tmp_path)
    _check_secrets(made)
    (tmp_path / "secrets" / missing).unlink()
    with pytest.raises(SecretMissing, match=missing):
        _check_secrets(GatewaySettings(data=tmp_path, profile="production", public_url="https://pay.example"))


def test_a_flow_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        get_flow()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "notifications.secret does not exist" in line
    assert '"flow.refused"' in line
