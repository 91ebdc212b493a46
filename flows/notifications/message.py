"""The message about a payment or a refund, with its amount, in the recipient's language and time zone."""

from datetime import datetime, tzinfo
from pathlib import Path
from typing import assert_never

import msgspec

from connectors.mail import mail_templates
from flows.notifications.preferences import zone_of
from flows.notifications.texts import LanguageTexts, texts_for
from schemas.money import Money
from schemas.notifications import Recipient
from schemas.payments import Method, Payment, Refund, RefundEvent, TransactionCompleted

ToldEvent = TransactionCompleted | RefundEvent

BRANDS = {"visa": "Visa", "mastercard": "Mastercard"}

_templates = mail_templates(Path(__file__).parent / "templates")


class RenderedMessage(msgspec.Struct, frozen=True):
    """One message in the forms of its channels. `short` fits the SMS alphabet (3GPP TS 23.038)."""

    subject: str
    text: str
    html: str
    short: str


class MessageContent(msgspec.Struct, frozen=True):
    """What a message says, before it has the form of a channel. `details`: labels with their values."""

    title: str
    sentence: str
    details: list[tuple[str, str]]


def render_message(told: ToldEvent, recipient: Recipient) -> RenderedMessage:
    """The message about an event: the payment or refund as it was then, not as it is now."""
    texts = texts_for(recipient.locale)
    content = _content(told, texts, zone_of(recipient))
    fields = {
        "language": texts.language,
        "title": content.title,
        "explanation": content.sentence,
        "details": content.details,
        "footer": texts.footer,
        "status": told.payment.status,
    }
    return RenderedMessage(
        subject=content.title,
        text=_templates.get_template("mail.txt").render(fields),
        html=_templates.get_template("mail.html").render(fields),
        short=_short(content, told),
    )


def format_amount(money: Money, texts: LanguageTexts) -> str:
    """`EUR 1,234.56` or `1.234,56 EUR`, with the decimals the currency has."""
    whole, _, fraction = money.decimal().partition(".")
    grouped = f"{int(whole):,}".replace(",", texts.group)
    digits = f"{grouped}{texts.decimal}{fraction}" if fraction else grouped
    return texts.amount_format.format(currency=money.currency, digits=digits)


def _content(told: ToldEvent, texts: LanguageTexts, zone: tzinfo) -> MessageContent:
    match told:
        case TransactionCompleted():
            return _of_payment(told.payment, texts, zone)
        case RefundEvent():
            return _of_refund(told.payment, told.refund, texts, zone)
        case _:
            assert_never(told)


def _of_payment(payment: Payment, texts: LanguageTexts, zone: tzinfo) -> MessageContent:
    """A payer reads what was taken, once anything was, and what was reserved before only where that is more."""
    whole = payment.amount
    amount = payment.amount_captured if payment.status == "succeeded" else whole
    told = _amount(amount, payment, texts)
    details = [
        (texts.amount, told),
        *([(texts.reserved, _amount(whole, payment, texts))] if amount < whole else []),
        (texts.paid_with, _instrument(payment.method)),
        (texts.date, _moment(payment.occurred_at, texts, zone)),
        (texts.reference, payment.id),
    ]
    in_part = payment.state == "captured" and amount < whole
    sentence = texts.captured_in_part if in_part else texts.sentences[payment.state]
    return MessageContent(texts.titles[payment.state].format(amount=told), sentence, details)


def _of_refund(payment: Payment, refund: Refund, texts: LanguageTexts, zone: tzinfo) -> MessageContent:
    told, in_all = refund.amount, payment.amount_refunded
    details = [
        (texts.amount, _amount(told, payment, texts)),
        *([(texts.refunded_in_all, _amount(in_all, payment, texts))] if in_all > told else []),
        (texts.refunded_to, _instrument(payment.method)),
        (texts.date, _moment(refund.updated_at, texts, zone)),
        (texts.reference, payment.id),
        (texts.refund, refund.id),
    ]
    title = texts.refund_title.format(amount=_amount(told, payment, texts))
    return MessageContent(title, texts.refund_sentence, details)


def _amount(minor: int, payment: Payment, texts: LanguageTexts) -> str:
    return format_amount(Money(minor, payment.currency), texts)


def _moment(moment: datetime, texts: LanguageTexts, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime(texts.date_format)


def _instrument(method: Method) -> str:
    match method.type:
        case "paypal":
            return "PayPal"
        case "card":
            return f"{BRANDS.get(method.brand or '', 'Card')} •••• {method.last4 or '????'}"
        case _:
            assert_never(method.type)


def _short(content: MessageContent, told: ToldEvent) -> str:
    """Two refunds of a payment over one amount differ by their id alone: by its text a message is found again."""
    plain = content.title.replace("\N{NO-BREAK SPACE}", " ")
    reference = told.refund.id if isinstance(told, RefundEvent) else told.payment.id
    return f"Sluice: {plain}. {content.sentence} ({reference})"
