"""What a message says, and how."""

from typing import Any

import pytest

from flows.notifications.message import format_amount, render_message
from flows.notifications.texts import ENGLISH, GERMAN, TEXTS, texts_for
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


@pytest.mark.parametrize("language", TEXTS)
def test_each_language_has_a_sentence_for_each_state(language: str) -> None:
    texts = TEXTS[language]
    assert set(texts.titles) == set(texts.sentences) == set(STATES)
    assert all("{amount}" in title for title in texts.titles.values())


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("state", STATES)
def test_a_message_shows_the_state_it_is_about(make: Any, language: str, state: Any) -> None:
    payment = make.payment(state)
    message = render_message(payment, make.recipient(locale=language))
    title = TEXTS[language].titles[state].split("{")[0].strip()
    assert title in message.subject
    assert all(payment.id in text for text in (message.text, message.html, message.short))
    assert STATUS[state] == payment.status


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("language", TEXTS)
def test_a_short_message_is_one_of_the_sms_alphabet(make: Any, language: str, state: Any) -> None:
    message = render_message(make.payment(state, amount=999_999_99), make.recipient(locale=language))
    assert set(message.short) <= GSM
    assert len(message.short) <= 160


def test_no_message_speaks_of_fraud(make: Any) -> None:
    blocked = make.payment("declined", decline_code="blocked")
    for language in TEXTS:
        message = render_message(blocked, make.recipient(locale=language))
        assert not any(word in message.html.lower() for word in ("fraud", "betrug", "block", "risk"))


def test_the_details_are_those_of_the_payment(make: Any) -> None:
    german = make.recipient(locale="de-AT", time_zone="Europe/Vienna")
    text = render_message(make.payment(), german).text
    assert "Betrag: 1.234,56\u00a0EUR" in text
    assert "Bezahlt mit: Visa •••• 1111" in text
    assert "Datum: 24.11.2026 00:30 CET" in text  # it was 23:30 UTC
    assert '<html lang="de">' in render_message(make.payment(), german).html


def test_paypal_has_no_card(make: Any) -> None:
    assert "Paid with: PayPal" in render_message(make.payment(method=Method("paypal")), make.recipient()).text


@pytest.mark.parametrize(("locale", "texts"), [("de", GERMAN), ("de_CH", GERMAN), ("DE", GERMAN), ("fr", ENGLISH)])
def test_a_language_we_do_not_speak_is_english(locale: str, texts: Any) -> None:
    assert texts_for(locale) is texts
