"""The message about one payment: its state and amount, in the recipient's language and time zone."""

from datetime import tzinfo
from pathlib import Path
from typing import assert_never

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from flows.notifications.preferences import zone_of
from flows.notifications.texts import LanguageTexts, texts_for
from schemas.money import Money
from schemas.notifications import Recipient
from schemas.payments import Method, Payment

BRANDS = {"visa": "Visa", "mastercard": "Mastercard"}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    auto_reload=False,  # during an upgrade a newer template may not fit the running code
    trim_blocks=True,
    lstrip_blocks=True,
)


class RenderedMessage(msgspec.Struct, frozen=True):
    """One message in the forms of its channels. `short` fits the SMS alphabet (3GPP TS 23.038)."""

    subject: str
    text: str
    html: str
    short: str


def render_message(payment: Payment, recipient: Recipient) -> RenderedMessage:
    """The message about a payment in the state of its event, not in its state of now."""
    texts = texts_for(recipient.locale)
    amount = format_amount(Money(payment.amount, payment.currency), texts)
    title = texts.titles[payment.state].format(amount=amount)
    fields = {
        "language": texts.language,
        "title": title,
        "explanation": texts.sentences[payment.state],
        "details": _details(payment, texts, amount, zone_of(recipient)),
        "footer": texts.footer,
        "status": payment.status,
    }
    return RenderedMessage(
        subject=title,
        text=_templates.get_template("mail.txt").render(fields),
        html=_templates.get_template("mail.html").render(fields),
        short=_short(title, texts, payment),
    )


def format_amount(money: Money, texts: LanguageTexts) -> str:
    """`EUR 1,234.56` or `1.234,56 EUR`, with the decimals the currency has."""
    whole, _, fraction = money.decimal().partition(".")
    grouped = f"{int(whole):,}".replace(",", texts.group)
    digits = f"{grouped}{texts.decimal}{fraction}" if fraction else grouped
    return texts.amount_format.format(currency=money.currency, digits=digits)


def _details(payment: Payment, texts: LanguageTexts, amount: str, zone: tzinfo) -> list[tuple[str, str]]:
    moment = payment.occurred_at.astimezone(zone)
    return [
        (texts.amount, amount),
        (texts.paid_with, _instrument(payment.method)),
        (texts.date, moment.strftime(texts.date_format)),
        (texts.reference, payment.id),
    ]


def _instrument(method: Method) -> str:
    match method.type:
        case "paypal":
            return "PayPal"
        case "card":
            return f"{BRANDS.get(method.brand or '', 'Card')} •••• {method.last4 or '????'}"
        case _:
            assert_never(method.type)


def _short(title: str, texts: LanguageTexts, payment: Payment) -> str:
    plain = title.replace("\N{NO-BREAK SPACE}", " ")
    return f"Sluice: {plain}. {texts.sentences[payment.state]} ({payment.id})"
