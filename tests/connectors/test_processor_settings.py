"""Addresses and credentials: the sandbox's by default, never in production, shown to nobody."""

import pytest

from connectors.processors.registry import open_processors
from connectors.processors.settings import PAYPAL_SECRET, VISA_SECRET, ProcessorSettings
from schemas.payments import PROCESSORS
from schemas.settings import BadSetting, load


def test_the_sandbox_of_this_machine_is_the_default() -> None:
    settings = ProcessorSettings(port_offset=100)
    assert [settings.address(name) for name in PROCESSORS] == [
        f"http://localhost:{port}" for port in (8191, 8192, 8193)
    ]


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_VISA_URL", "https://apitest.cybersource.com/")
    monkeypatch.setenv("SLUICE_VISA_MERCHANT", "testrest")
    settings = load(ProcessorSettings)
    assert (settings.address("visa"), settings.visa_merchant) == ("https://apitest.cybersource.com", "testrest")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"paypal_url": "https://api-m.paypal.com"},
        {"paypal_url": "http://api-m.paypal.com", "paypal_secret": "real"},
    ],
)
async def test_production_takes_nothing_of_the_sandbox(given: dict[str, str]) -> None:
    settings = ProcessorSettings(profile="production", **given)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="paypal"):
        settings.address("paypal")
    with pytest.raises(BadSetting):
        open_processors(settings)


def test_production_with_its_own() -> None:
    settings = ProcessorSettings(profile="production", paypal_url="https://api-m.paypal.com", paypal_secret="real")
    assert settings.address("paypal") == "https://api-m.paypal.com"


def test_no_secret_is_shown() -> None:
    shown = f"{ProcessorSettings()!r} {ProcessorSettings()}"
    assert VISA_SECRET not in shown
    assert PAYPAL_SECRET not in shown
