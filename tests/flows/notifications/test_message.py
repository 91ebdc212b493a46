"""What a message says, and how."""

from typing import Any

import pytest

from flows.notifications.message import format_amount, message_about
from flows.notifications.wording import ENGLISH, GERMAN, WORDINGS, wording_for
from schemas.money import Money
from schemas.payments import Method
from schemas.states import STATES, STATUS

# 3GPP TS 23.038 §6.2.1: the alphabet in which 160 characters are one message; the second row counts double.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
    "^{}\\[~]|€"
)


@pytest.mark.parametrize(
    ("money", "english", "german"),
    [
        (Money(123456, "EUR"), "EUR 1,234.56", "1.234,56 EUR"),
        (Money(5, "EUR"), "EUR 0.05", "0,05 EUR"),
        (Money(1234567, "JPY"), "JPY 1,234,567", "1.234.567 JPY"),
        (Money(1234, "BHD"), "BHD 1.234", "1,234 BHD"),
        (Money(999_999_999_999, "USD"), "USD 9,999,999,999.99", "9.999.999.999,99 USD"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(money: Money, english: str, german: str) -> None:
    assert format_amount(money, ENGLISH).replace("\u00a0", " ") == english
    assert format_amount(money, GERMAN).replace("\u00a0", " ") == german


@pytest.mark.parametrize("language", WORDINGS)
def test_each_language_has_a_sentence_for_each_state(language: str) -> None:
    wording = WORDINGS[language]
    assert set(wording.titles) == set(wording.texts) == set(STATES)
    assert all("{amount}" in title for title in wording.titles.values())


@pytest.mark.parametrize("language", WORDINGS)
@pytest.mark.parametrize("state", STATES)
def test_a_message_shows_the_state_it_is_about(make: Any, language: str, state: Any) -> None:
    payment = make.payment(state)
    message = message_about(payment, make.recipient(locale=language))
    title = WORDINGS[language].titles[state].split("{")[0].strip()
    assert title in message.subject
    assert all(payment.id in text for text in (message.text, message.html, message.short))
    assert STATUS[state] == payment.status


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("language", WORDINGS)
def test_a_short_message_is_one_of_the_sms_alphabet(make: Any, language: str, state: Any) -> None:
    message = message_about(make.payment(state, amount=999_999_99), make.recipient(locale=language))
    assert set(message.short) <= GSM
    assert len(message.short) <= 160


def test_no_message_speaks_of_fraud(make: Any) -> None:
    blocked = make.payment("declined", decline_code="blocked")
    for language in WORDINGS:
        message = message_about(blocked, make.recipient(locale=language))
        assert not any(word in message.html.lower() for word in ("fraud", "betrug", "block", "risk"))


def test_the_details_are_those_of_the_payment(make: Any) -> None:
    german = make.recipient(locale="de-AT", time_zone="Europe/Vienna")
    text = message_about(make.payment(), german).text
    assert "Betrag: 1.234,56\u00a0EUR" in text
    assert "Bezahlt mit: Visa •••• 1111" in text
    assert "Datum: 24.11.2026 00:30 CET" in text  # it was 23:30 UTC
    assert '<html lang="de">' in message_about(make.payment(), german).html


def test_paypal_has_no_card(make: Any) -> None:
    assert "Paid with: PayPal" in message_about(make.payment(method=Method("paypal")), make.recipient()).text


@pytest.mark.parametrize(
    ("locale", "wording"), [("de", GERMAN), ("de_CH", GERMAN), ("DE", GERMAN), ("fr", ENGLISH)]
)
def test_a_language_we_do_not_speak_is_english(locale: str, wording: Any) -> None:
    assert wording_for(locale) is wording
