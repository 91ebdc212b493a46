"""The test cards and amounts that are not approved: data, and one function per vendor.

CyberSource publishes no magic cards: its answers follow the amount, which is awkward in a demonstration. So the
test numbers that Stripe publishes decline as well (https://docs.stripe.com/testing). Mastercard's answer follows
the card's expiry date. PayPal's sandbox goes by the card holder's name and a header, of which we send neither: its
amounts are ours. Any other card is approved. No vendor publishes what makes a later capture, void or refund fail:
that is ours too.
"""

from datetime import date
from typing import Literal

import msgspec

from schemas.cards import is_over, luhn_valid
from schemas.times import now

MagicFollowUp = Literal["capture", "void", "refund"]


class MagicOutcome(msgspec.Struct, frozen=True):
    """A vendor's answer to an authorization. `status` and `reason` are its codes.

    `approved`: the issuer reserved the money. `recorded`: an issuer decided, so that the ledger has a row; a
    technical failure has none.
    """

    status: str
    reason: str = ""
    approved: bool = False
    recorded: bool = True


VISA_APPROVED = MagicOutcome("AUTHORIZED", approved=True)
VISA_EXPIRED = MagicOutcome("DECLINED", "EXPIRED_CARD")
VISA_PARTIAL = MagicOutcome("PARTIAL_AUTHORIZED", approved=True)
VISA_NOT_ENOUGH = MagicOutcome("DECLINED", "INSUFFICIENT_FUND")

# Stripe's numbers; what each means there, in CyberSource's words.
VISA_CARDS: dict[str, MagicOutcome] = {
    "4000000000000002": MagicOutcome("DECLINED", "PROCESSOR_DECLINED"),
    "4000000000009995": VISA_NOT_ENOUGH,
    "4000000000000069": VISA_EXPIRED,
    "4000000000000127": MagicOutcome("DECLINED", "CVN_NOT_MATCH"),
    "4000000000009979": MagicOutcome("DECLINED", "STOLEN_LOST_CARD"),
    "4000000000009987": MagicOutcome("DECLINED", "STOLEN_LOST_CARD"),
    "4000000000000119": MagicOutcome("DECLINED", "PROCESSOR_ERROR", recorded=False),
    "4000000000009235": MagicOutcome("AUTHORIZED_PENDING_REVIEW", "DECISION_PROFILE_REVIEW", approved=True),
    "4100000000000019": MagicOutcome("AUTHORIZED_RISK_DECLINED", "SCORE_EXCEEDS_THRESHOLD", approved=True),
}

# Approved; but the issuer refuses this later call.
VISA_FOLLOW_UPS: dict[str, MagicFollowUp] = {
    "4000000000000341": "capture",
    "4000000000000606": "void",
    "4000000000005126": "refund",
}

# Visa Platform Connect's amounts. The address check needs an address and the CVN check a CVN. Without them the
# amount has no effect, so 40.00 and 50.00 are ordinary prices for a merchant that sends no address.
VISA_AVS_AMOUNTS = frozenset({"40.00", "50.00", "6001.00"})
VISA_CVN_AMOUNT = "6002.00"
VISA_PARTIAL_AMOUNT = "6003.00"  # half of it is approved, if the merchant accepts partial approvals

MASTERCARD_APPROVED = MagicOutcome("SUCCESS", "APPROVED", approved=True)

# Month and year of expiry, as three acquirers publish them.
MASTERCARD_EXPIRIES: dict[str, MagicOutcome] = {
    "01/39": MASTERCARD_APPROVED,
    "05/39": MagicOutcome("FAILURE", "DECLINED"),
    "04/27": MagicOutcome("FAILURE", "EXPIRED_CARD"),
    "08/28": MagicOutcome("FAILURE", "TIMED_OUT"),  # the bank did not reply: a decline
    "01/37": MagicOutcome("FAILURE", "ACQUIRER_SYSTEM_ERROR", recorded=False),
    "02/37": MagicOutcome("FAILURE", "UNSPECIFIED_FAILURE", recorded=False),
    "05/37": MagicOutcome("UNKNOWN", "UNKNOWN", approved=True),  # approved by the bank; a look-up tells
}
# Approved; but the issuer refuses this later call.
MASTERCARD_FOLLOW_UPS: dict[str, MagicFollowUp] = {"02/39": "capture", "03/39": "void", "04/39": "refund"}
MASTERCARD_CSC: dict[str, str] = {"100": "MATCH", "101": "NOT_PROCESSED", "102": "NO_MATCH"}

# Ours: the twin denies an authorization of (or, for 51.40, declines to capture) the response code as an amount.
PAYPAL_DENIED: dict[str, str] = {
    "13.30": "1330",  # invalid account
    "51.20": "5120",  # insufficient funds
    "51.80": "5180",  # invalid or restricted card
    "95.20": "9520",  # lost or stolen
    "95.40": "9540",  # refused card
}
PAYPAL_CAPTURE_DECLINED: dict[str, str] = {"51.40": "5140"}  # the card was closed in between
# The amounts of captures and refunds that the twin takes and decides later (`POST /_sandbox/pending`), and why.
PAYPAL_PENDING: dict[str, str] = {"51.44": "ECHECK", "51.45": "PENDING_REVIEW"}
# The amount of a refund that the twin takes and cannot carry out (201 FAILED); of refunds and voids it refuses.
PAYPAL_REFUND_FAILED = "51.41"
PAYPAL_REFUND_REFUSED: dict[str, str] = {"51.42": "PAYER_ACCOUNT_LOCKED_OR_CLOSED"}
PAYPAL_VOID_REFUSED: dict[str, str] = {"51.43": "CANNOT_BE_VOIDED"}  # what is left of the authorization


def visa_card_outcome(number: str, expiry: date) -> MagicOutcome:
    """Visa's answer to a card number (digits only) that is valid to the end of the month of `expiry`."""
    if number in VISA_CARDS:
        return VISA_CARDS[number]
    if not luhn_valid(number):
        return MagicOutcome("DECLINED", "INVALID_ACCOUNT")
    return VISA_EXPIRED if expired(expiry) else VISA_APPROVED


def visa_amount_outcome(total: str, *, cvn: bool, address: bool, partial: bool) -> MagicOutcome:
    """Visa's answer to an amount (decimal text), given what was sent along with it."""
    if address and total in VISA_AVS_AMOUNTS:
        return MagicOutcome("AUTHORIZED_RISK_DECLINED", "AVS_FAILED", approved=True)
    if cvn and total == VISA_CVN_AMOUNT:
        return MagicOutcome("DECLINED", "CVN_NOT_MATCH")
    if total == VISA_PARTIAL_AMOUNT:
        return VISA_PARTIAL if partial else VISA_NOT_ENOUGH
    return VISA_APPROVED


def mastercard_outcome(expiry: date, csc: str | None) -> MagicOutcome:
    """The Mastercard Gateway's answer to a card, by its expiry date and security code."""
    if csc is not None and MASTERCARD_CSC.get(csc) == "NO_MATCH":
        return MagicOutcome("FAILURE", "DECLINED_CSC")
    if magic := MASTERCARD_EXPIRIES.get(f"{expiry:%m/%y}"):
        return magic
    return MagicOutcome("FAILURE", "EXPIRED_CARD") if expired(expiry) else MASTERCARD_APPROVED


def expired(expiry: date) -> bool:
    """Whether the month of `expiry` is over for every issuer; which one it is, a test number does not tell."""
    return is_over(expiry.year, expiry.month, now())
