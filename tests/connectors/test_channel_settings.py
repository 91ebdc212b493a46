"""What may be sent, where it is not said: much on one machine, little where it reaches people and costs money."""

import pytest

from connectors.settings import ChannelSettings, MessageLimits
from schemas.settings import BadSetting, load


@pytest.fixture(autouse=True)
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PROFILE", "production")
    monkeypatch.setenv("SLUICE_MAIL_HOST", "mail.example")


def test_production_sends_little_and_texts_nobody_until_countries_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load(ChannelSettings)
    assert settings.limits() == MessageLimits(10, 5, 1_000, 100)
    assert not settings.may_text("+4915112345678")
    monkeypatch.setenv("SLUICE_PROFILE", "local")
    assert load(ChannelSettings).limits() == MessageLimits(1_000, 1_000, 100_000, 100_000)
    assert load(ChannelSettings).may_text("+4915112345678")


def test_what_is_set_counts_nothing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_SMS_PER_HOUR", "0")
    monkeypatch.setenv("SLUICE_MAILS_PER_HOUR", "7")
    limits = load(ChannelSettings).limits()
    assert (limits.per_hour("sms"), limits.per_hour("email")) == (0, 7)


@pytest.mark.parametrize(
    ("name", "value"), [("SMS_PER_DAY", "-1"), ("SMS_COUNTRIES", "DE,UK"), ("SMS_COUNTRIES", "de")]
)
def test_a_limit_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SLUICE_{name}", value)
    with pytest.raises(BadSetting, match=name):
        load(ChannelSettings)
