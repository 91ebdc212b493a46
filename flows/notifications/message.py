"""The message about one payment: its state and amount, in the recipient's language and time zone."""

from datetime import tzinfo
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from flows.notifications.wishes import zone_of
from flows.notifications.wording import Wording, wording_for
from schemas.money import Money
from schemas.notifications import Recipient
from schemas.payments import Method, Payment

BRANDS = {"visa": "Visa", "mastercard": "Mastercard"}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    auto_reload=False,  # a template of the next release would not fit the code that runs
    trim_blocks=True,
    lstrip_blocks=True,
)


class Message(msgspec.Struct, frozen=True):
    """One message in the forms its channels want. `short` fits the SMS alphabet (3GPP TS 23.038)."""

    subject: str
    text: str
    html: str
    short: str


def message_about(payment: Payment, recipient: Recipient) -> Message:
    """What to tell about the payment as the event showed it, whatever became of it since."""
    wording = wording_for(recipient.locale)
    amount = format_amount(Money(payment.amount, payment.currency), wording)
    title = wording.titles[payment.state].format(amount=amount)
    fields = {
        "language": wording.language,
        "title": title,
        "explanation": wording.texts[payment.state],
        "details": _details(payment, wording, amount, zone_of(recipient)),
        "footer": wording.footer,
        "status": payment.status,
    }
    return Message(
        subject=title,
        text=_templates.get_template("mail.txt").render(fields),
        html=_templates.get_template("mail.html").render(fields),
        short=_short(title, wording, payment),
    )


def format_amount(money: Money, wording: Wording) -> str:
    """`EUR 1,234.56` or `1.234,56 EUR`, with the decimals the currency has."""
    whole, _, fraction = money.decimal().partition(".")
    grouped = f"{int(whole):,}".replace(",", wording.group)
    digits = f"{grouped}{wording.decimal}{fraction}" if fraction else grouped
    return wording.amount_format.format(currency=money.currency, digits=digits)


def _details(payment: Payment, wording: Wording, amount: str, zone: tzinfo) -> list[tuple[str, str]]:
    moment = payment.occurred_at.astimezone(zone)
    return [
        (wording.amount, amount),
        (wording.paid_with, _instrument(payment.method)),
        (wording.date, moment.strftime(wording.date_format)),
        (wording.reference, payment.id),
    ]


def _instrument(method: Method) -> str:
    if method.type == "paypal":
        return "PayPal"
    return f"{BRANDS.get(method.brand or '', 'Card')} •••• {method.last4 or '????'}"


def _short(title: str, wording: Wording, payment: Payment) -> str:
    plain = title.replace("\N{NO-BREAK SPACE}", " ")
    return f"Sluice: {plain}. {wording.texts[payment.state]} ({payment.id})"
