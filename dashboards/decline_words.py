"""What a decline code means, in plain words, and who said no."""

from typing import Literal

import msgspec

from dashboards import formats

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


def decline_words(code: str) -> DeclineWords:
    """The words of a code; of one that came later, the code itself."""
    return DECLINES.get(code) or DeclineWords(formats.plain(code.replace("_", " "), 40).capitalize(), "issuer")
