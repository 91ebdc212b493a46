"""Codes of the gateway in words: processors, ways to pay, channels, declines, and any other code."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from dashboards import formats

BEFORE_ANY = "Before any"  # of processors
NAMES = {"visa": "Visa", "mastercard": "Mastercard", "paypal": "PayPal"}
CHANNELS = {"email": "E-mail", "sms": "SMS", "webhook": "Webhook"}

Whose = Literal["issuer", "payer", "us", "nobody"]
WHOSE: dict[Whose, str] = {
    "issuer": "The issuer",
    "payer": "The issuer, for what the payer typed",
    "us": "We",
    "nobody": "Nobody was reached",
}


class DeclineWords(msgspec.Struct, frozen=True):
    """`reason` in plain words; `whose` no it is."""

    reason: str
    whose: Whose


DECLINES = {
    "insufficient_funds": DeclineWords("Not enough money on the account", "issuer"),
    "limit_exceeded": DeclineWords("Over the card's limit", "issuer"),
    "call_issuer": DeclineWords("The payer is to call their bank", "issuer"),
    "authentication_required": DeclineWords("The bank wants the payer to prove who they are", "issuer"),
    "lost_or_stolen": DeclineWords("The card is reported lost or stolen", "issuer"),
    "suspected_fraud": DeclineWords("The bank suspects fraud", "issuer"),
    "generic_decline": DeclineWords("The bank says no without a reason", "issuer"),
    "expired_card": DeclineWords("The card has expired", "payer"),
    "incorrect_cvc": DeclineWords("Wrong security code", "payer"),
    "incorrect_address": DeclineWords("The address does not match", "payer"),
    "invalid_account": DeclineWords("There is no such card or account", "payer"),
    "invalid_amount": DeclineWords("The processor does not take this amount", "us"),
    "duplicate": DeclineWords("The processor took it for a repeat", "us"),
    "blocked": DeclineWords("Our fraud check blocked it", "us"),
    "interrupted": DeclineWords("The gateway stopped before anything was sent", "us"),
    "issuer_unavailable": DeclineWords("The bank could not be reached", "nobody"),
    "processor_unavailable": DeclineWords("No processor could be reached", "nobody"),
}
STATE_WORDS = {
    "processing": "In work",
    "requires_action": "Waits for the payer",
    "in_review": "Held for review",
    "authorized": "Reserved",
    "partially_captured": "Captured in part",
    "captured": "Captured",
    "voided": "Let go",
    "declined": "Declined",
    "failed": "Failed",
    "unknown": "Not known yet",
}


def words(code: str | None) -> str:
    """`call_issuer` as `call issuer`; empty for none."""
    return (code or "").replace("_", " ")


def state_words(state: str) -> str:
    """A payment's state as pages say it."""
    return STATE_WORDS.get(state, words(state))


def listed(codes: Iterable[str] | None) -> str:
    """Several codes as words, a comma between two; empty for none."""
    return ", ".join(map(words, codes or ()))


def processor_name(processor: str | None, none: str = formats.NONE) -> str:
    """A processor as people call it; `none` where none was chosen."""
    return NAMES.get(processor, processor) if processor else none


def routed_to(processor: str | None) -> str:
    """The same where payments are told apart by it: some ended before any was chosen."""
    return processor_name(processor, BEFORE_ANY)


def account_words(kind: str, party: str, merchant: str = "") -> str:
    """`hold`, `visa` is `Held at Visa`; `due`, `acc_1` is `Due to` its `merchant`, or to the id without a name."""
    is_theirs = party == "merchants" or party.startswith("acc_")
    name = merchant or party if is_theirs else routed_to(party)
    match kind, is_theirs:
        case "hold", _:
            return f"Held {'for' if is_theirs else 'at'} {name}"
        case "due", _:
            return f"Due {'to' if is_theirs else 'from'} {name}"
        case _:
            return f"{kind}: {party}"


def paid_with(method: str, brand: str | None, last4: str | None) -> str:
    """`Visa ···· 4242`, or `PayPal`."""
    if method == "paypal":
        return "PayPal"
    return f"{NAMES.get(brand or '', 'Card')} ···· {last4 or '????'}"


def what_became(amount: int, captured: int, refunded: int, currency: str) -> str:
    """What was captured or refunded of an amount, where that is not all of it or nothing; minor units."""
    parts = [f"{formats.amount(captured, currency)} captured"] if 0 < captured < amount else []
    if refunded:
        parts.append("refunded" if refunded == captured else f"{formats.amount(refunded, currency)} refunded")
    return " · ".join(parts)


def decline_words(code: str) -> DeclineWords:
    """The words of a code; of one that came later, the code itself."""
    return DECLINES.get(code) or DeclineWords(formats.plain(words(code), 40).capitalize(), "issuer")
