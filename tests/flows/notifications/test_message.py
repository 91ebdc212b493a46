"""What a message says, and how."""

from typing import Any

import pytest

from flows.notifications.message import RenderedMessage, format_amount, render_message
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
        (Money(12_345_678, "CLF"), "CLF 1,234.5678", "1.234,5678 CLF"),
        (Money(1955, "BGN"), "BGN 19.55", "19,55 BGN"),
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


def told_of(make: Any, payment: Any, recipient: Any) -> RenderedMessage:
    return render_message(make.completed(payment).data, recipient)


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("state", STATES)
def test_a_message_shows_the_state_it_is_about(make: Any, language: str, state: Any) -> None:
    payment = make.payment(state)
    message = told_of(make, payment, make.recipient(locale=language))
    title = TEXTS[language].titles[state].split("{")[0].strip()
    assert title in message.subject
    assert all(payment.id in text for text in (message.text, message.html, message.short))
    assert STATUS[state] == payment.status


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("language", TEXTS)
def test_a_short_message_is_one_of_the_sms_alphabet(make: Any, language: str, state: Any) -> None:
    message = told_of(make, make.payment(state, amount=999_999_99), make.recipient(locale=language))
    assert set(message.short) <= GSM
    assert len(message.short) <= 160


@pytest.mark.parametrize("language", TEXTS)
def test_a_short_message_on_less_money_fits_too(make: Any, language: str) -> None:
    taken = {"amount": 999_999_99, "amount_captured": 999_999_98}
    told = [make.completed(make.payment(state, **taken)) for state in ("captured", "partially_captured")]
    for event in (*told, make.refunded(make.payment(), 999_999_99)):
        message = render_message(event.data, make.recipient(locale=language))
        assert set(message.short) <= GSM
        assert len(message.short) <= 160


def test_who_paid_a_part_reads_what_was_taken(make: Any) -> None:
    payment = make.payment("partially_captured", amount_captured=80_00)
    message = told_of(make, payment, make.recipient())
    assert message.subject == "You paid EUR\u00a080.00"
    assert "The rest stays reserved until the merchant takes or releases it." in message.short
    assert "Amount: EUR\u00a080.00\nReserved at first: EUR\u00a01,234.56\n" in message.text
    last = told_of(make, make.payment("captured", amount_captured=90_00), make.recipient(locale="de"))
    assert last.subject == "Sie haben 90,00\u00a0EUR bezahlt"
    assert "wird frei" in last.short
    whole = told_of(make, make.payment(), make.recipient())
    assert "Reserved at first" not in whole.text
    assert "The payment is complete." in whole.text


def test_a_refund_says_how_much_and_where_it_goes(make: Any) -> None:
    payment = make.payment(amount_refunded=30_00, currency="JPY")
    event = make.refunded(payment, 10_00)
    message = render_message(event.data, make.recipient())
    assert message.subject == "You get JPY\u00a01,000 back"
    assert message.short.startswith("Sluice: You get JPY 1,000 back. The merchant refunded it.")
    details = message.text.split("\n\n")[2]
    assert details == (
        "Amount: JPY\u00a01,000\nRefunded in all: JPY\u00a03,000\nRefunded to: Visa •••• 1111\n"
        f"Date: 2026-11-26 00:30 CET\nReference: {payment.id}\nRefund: {event.data.refund.id}"
    )
    german = render_message(make.refunded(make.payment(amount_refunded=5), 5).data, make.recipient(locale="de"))
    assert german.subject == "Sie erhalten 0,05\u00a0EUR zurück"
    assert "Insgesamt" not in german.text, "it says the same as the amount"


@pytest.mark.parametrize("language", TEXTS)
def test_short_messages_on_two_equal_refunds_differ(make: Any, language: str) -> None:
    """By its text the provider is asked whether it has one."""
    payment = make.payment(amount=999_999_99, amount_refunded=999_999_98)
    first, second = (
        render_message(make.refunded(payment, 999_999_99).data, make.recipient(locale=language)).short
        for _ in range(2)
    )
    assert first != second


def test_no_message_speaks_of_fraud(make: Any) -> None:
    blocked = make.payment("declined", decline_code="blocked")
    for language in TEXTS:
        message = told_of(make, blocked, make.recipient(locale=language))
        assert not any(word in message.html.lower() for word in ("fraud", "betrug", "block", "risk"))


def test_the_details_are_those_of_the_payment(make: Any) -> None:
    german = make.recipient(locale="de-AT", time_zone="Europe/Vienna")
    text = told_of(make, make.payment(), german).text
    assert "Betrag: 1.234,56\u00a0EUR" in text
    assert "Bezahlt mit: Visa •••• 1111" in text
    assert "Datum: 24.11.2026 00:30 CET" in text  # it was 23:30 UTC
    assert '<html lang="de">' in told_of(make, make.payment(), german).html


def test_paypal_has_no_card(make: Any) -> None:
    assert "Paid with: PayPal" in told_of(make, make.payment(method=Method("paypal")), make.recipient()).text


@pytest.mark.parametrize(("locale", "texts"), [("de", GERMAN), ("de_CH", GERMAN), ("DE", GERMAN), ("fr", ENGLISH)])
def test_a_language_we_do_not_speak_is_english(locale: str, texts: Any) -> None:
    assert texts_for(locale) is texts
