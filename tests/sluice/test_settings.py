"""The environment that each process of the stack gets."""

from pathlib import Path

import pytest

from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting
from sluice.processes import settings_classes, stack
from sluice.settings import StackSettings, environment

SECRETS = {
    "SLUICE_VAULT_KEYS": "/run/keys",
    "SLUICE_VISA_SECRET": "visa-secret",
    "SLUICE_PAYPAL_SECRET": "paypal-secret",
}


@pytest.fixture
def with_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("with_secrets")
def test_a_process_gets_only_what_its_settings_declare() -> None:
    known = environment([VaultSettings], Path("/data"))
    assert known["SLUICE_VAULT_KEYS"] == "/run/keys"
    assert known["SLUICE_DATA"] == "/data"
    assert "SLUICE_VISA_SECRET" not in known


def test_the_file_of_a_setting_goes_where_the_setting_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_VAULT_FILE", "/run/secrets/vault")
    monkeypatch.setenv("SLUICE_VISA_SECRET_FILE", "/run/secrets/visa.secret")
    known = environment([VaultSettings], Path("/data"))
    assert known["SLUICE_VAULT_FILE"] == "/run/secrets/vault"
    assert "SLUICE_VISA_SECRET_FILE" not in known


@pytest.mark.usefixtures("with_secrets")
def test_a_process_that_is_not_ours_gets_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    known = environment([], Path("/data"))
    assert known["HOME"] == "/home/somebody"
    assert not SECRETS.keys() & known.keys()


@pytest.mark.usefixtures("with_secrets")
def test_vault_keys_and_processor_secrets_go_where_they_belong() -> None:
    holders = {
        process.name: SECRETS.keys() & environment(settings_classes(process), Path("/data")).keys()
        for process in stack(StackSettings())
    }
    assert holders.pop("vault") == {"SLUICE_VAULT_KEYS"}
    assert holders.pop("gateway") == {"SLUICE_VISA_SECRET", "SLUICE_PAYPAL_SECRET"}
    assert holders.pop("sandbox") == {"SLUICE_VISA_SECRET", "SLUICE_PAYPAL_SECRET"}
    assert not any(holders.values())


@pytest.mark.parametrize("addresses", ["fraud:9111", "fraud:9111,fraud-2:9111,fraud-3:9111"])
def test_as_many_addresses_of_fraud_workers_as_there_are_workers(addresses: str) -> None:
    with pytest.raises(BadSetting, match="SLUICE_FRAUD_ADDRESSES"):
        StackSettings(fraud_workers=2, fraud_addresses=addresses)
