"""From a processor's reply to an `Answer`: it counts only if it is about what was asked, and keeps no card data.

A reply about other ids or other money, or one that cannot be read, leaves the outcome `unknown`: the money may
have moved.
"""

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Annotated

import msgspec

from connectors.processors.contract import Answer
from connectors.processors.transport import HttpReply, NotSent, Silence
from schemas.cards import mask_numbers
from schemas.money import Money

# A processor's own id, as later calls name it; no vendor's is longer than 26 characters.
TheirId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

# What reading a malformed reply raises; msgspec's and json's errors are ValueErrors.
UNREADABLE = (ValueError, ArithmeticError, LookupError, RecursionError)

DETAIL_MAX = 300  # characters

# Field names of the three wires whose values must not be logged or stored: PCI DSS 3.3 (CVC), 3.4 (number,
# expiry), credentials, and the payer's own data in PayPal's answers.
HIDDEN_FIELDS = (
    "securityCode|security_code|number|expiry|expirationMonth|expirationYear|access_token|password|client_secret"
    "|email_address|national_number|given_name|surname|full_name"
)
IN_JSON = re.compile(rf'(\\?"(?:{HIDDEN_FIELDS})\\?"\s*:\s*)(\{{[^}}]*\}}|\\?"[^"]*"|[^,}}\s]+)', re.IGNORECASE)
IN_HEADERS = re.compile(r"((?:authorization|signature)\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
EMAIL = re.compile(r"[^\s\"'<>@]+@[^\s\"'<>@]+\.\w+")

Parse = Callable[[HttpReply], Answer]


class Mismatch(Exception):
    """The reply is about something else than what was asked."""


def same(field: str, told: str | None, asked: str) -> None:
    """Check that the processor repeated the text we sent. Raises `Mismatch`."""
    if told != asked:
        raise Mismatch(f"{field} is {told!r} instead of {asked!r}")


def same_money(told: str | Decimal | None, currency: str | None, asked: Money) -> None:
    """Check that `told` (currency units; 10.0 is 10.00) and `currency` are what was asked. Raises `Mismatch`."""
    if told is None or currency != asked.currency or Decimal(told) != Decimal(asked.decimal()):
        raise Mismatch(f"amount is {told} {currency} instead of {asked.decimal()} {asked.currency}")


async def answer_to(reply: Awaitable[HttpReply], parse: Parse) -> Answer:
    """The answer to a call that can move money."""
    try:
        return _parsed(await reply, parse)
    except NotSent as error:
        return Answer("failed", sent=False, detail=f"not sent: {error}")
    except Silence as error:
        return Answer("unknown", detail=f"no answer: {error}")


async def finding_of(reply: Awaitable[HttpReply], parse: Parse) -> Answer:
    """The answer of an earlier call, from a look-up; where the look-up got no reply it is `unknown`."""
    try:
        return _parsed(await reply, parse)
    except (NotSent, Silence) as error:
        return Answer("unknown", detail=f"not found out: {error}")


def scrub(text: str) -> str:
    """`text` without card numbers, CVC, expiry, credentials and e-mail addresses, cut to `DETAIL_MAX`."""
    text = IN_HEADERS.sub(r"\1***", text)
    text = IN_JSON.sub(r'\1"***"', text)
    return EMAIL.sub("***", mask_numbers(text))[:DETAIL_MAX]


def _parsed(reply: HttpReply, parse: Parse) -> Answer:
    try:
        answer = parse(reply)
    except Mismatch as error:
        return Answer("unknown", detail=scrub(f"not what was asked: {error}"), doubt="mismatch")
    except UNREADABLE:
        return Answer("unknown", detail=f"unreadable answer, HTTP {reply.status}")
    return msgspec.structs.replace(answer, detail=scrub(answer.detail))
