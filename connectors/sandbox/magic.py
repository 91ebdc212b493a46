"""The test cards and amounts that make the twins say something other than yes: data, and one function per vendor.

Visa (CyberSource) has no list of magic cards: its answers follow amounts, of which only the ones that need no
other field are awkward in a demonstration. So widely published test numbers decline as well. Mastercard's answer
follows the card's expiry date, PayPal's the amount. Any other card is approved.
"""

from datetime import date

import msgspec

from schemas.cards import luhn_valid


class Outcome(msgspec.Struct, frozen=True):
    """What the vendor answers. `status` and `reason` are its words; `approved`: the issuer reserved the money.

    `recorded`: an issuer decided, so that the ledger has a row; a technical no has none.
    """

    status: str
    reason: str = ""
    approved: bool = False
    recorded: bool = True


VISA_APPROVED = Outcome("AUTHORIZED", approved=True)
VISA_EXPIRED = Outcome("DECLINED", "EXPIRED_CARD")
VISA_PARTIAL = Outcome("PARTIAL_AUTHORIZED", approved=True)
VISA_NOT_ENOUGH = Outcome("DECLINED", "INSUFFICIENT_FUND")

VISA_CARDS: dict[str, Outcome] = {
    "4000000000000002": Outcome("DECLINED", "PROCESSOR_DECLINED"),
    "4000000000009995": VISA_NOT_ENOUGH,
    "4000000000000069": VISA_EXPIRED,
    "4000000000000127": Outcome("DECLINED", "CVN_NOT_MATCH"),
    "4000000000009979": Outcome("DECLINED", "STOLEN_LOST_CARD"),
    "4000000000009987": Outcome("DECLINED", "STOLEN_LOST_CARD"),
    "4000000000000119": Outcome("DECLINED", "PROCESSOR_ERROR", recorded=False),
    "4000000000009235": Outcome("AUTHORIZED_PENDING_REVIEW", "DECISION_PROFILE_REVIEW", approved=True),
    "4100000000000019": Outcome("AUTHORIZED_RISK_DECLINED", "SCORE_EXCEEDS_THRESHOLD", approved=True),
}

# Visa Platform Connect's amounts. An address check needs an address and a CVN check a CVN: without them the
# amount means nothing, so that 40.00 and 50.00 stay ordinary prices for a merchant that sends no address.
VISA_AVS_AMOUNTS = frozenset({"40.00", "50.00", "6001.00"})
VISA_CVN_AMOUNT = "6002.00"
VISA_PARTIAL_AMOUNT = "6003.00"  # half of it is approved, where the merchant takes parts

MASTERCARD_APPROVED = Outcome("SUCCESS", "APPROVED", approved=True)

# Month and year of expiry, as three acquirers publish them.
MASTERCARD_EXPIRIES: dict[str, Outcome] = {
    "01/39": MASTERCARD_APPROVED,
    "05/39": Outcome("FAILURE", "DECLINED"),
    "04/27": Outcome("FAILURE", "EXPIRED_CARD"),
    "08/28": Outcome("FAILURE", "TIMED_OUT"),  # no reply from the bank, which makes it a decline
    "01/37": Outcome("FAILURE", "ACQUIRER_SYSTEM_ERROR", recorded=False),
    "02/37": Outcome("FAILURE", "UNSPECIFIED_FAILURE", recorded=False),
    "05/37": Outcome("UNKNOWN", "UNKNOWN", approved=True),  # the bank said yes; asked again, the gateway knows
}
MASTERCARD_CSC: dict[str, str] = {"100": "MATCH", "101": "NOT_PROCESSED", "102": "NO_MATCH"}

# PayPal denies an authorization of (or, for 51.40, declines to capture) its response code as an amount.
PAYPAL_DENIED: dict[str, str] = {
    "13.30": "1330",  # invalid account
    "51.20": "5120",  # insufficient funds
    "51.80": "5180",  # invalid or restricted card
    "95.20": "9520",  # lost or stolen
    "95.40": "9540",  # refused card
}
PAYPAL_CAPTURE_DECLINED: dict[str, str] = {"51.40": "5140"}  # the card was closed in between


def visa_card_outcome(number: str, expiry: date) -> Outcome:
    """What Visa says to a card, digits only, that is good until the end of `expiry`'s month."""
    if number in VISA_CARDS:
        return VISA_CARDS[number]
    if not luhn_valid(number):
        return Outcome("DECLINED", "INVALID_ACCOUNT")
    return VISA_EXPIRED if expired(expiry) else VISA_APPROVED


def visa_amount_outcome(total: str, *, cvn: bool, address: bool, partial: bool) -> Outcome:
    """What Visa says to an amount (text, with its decimals), given what was sent along with it."""
    if address and total in VISA_AVS_AMOUNTS:
        return Outcome("AUTHORIZED_RISK_DECLINED", "AVS_FAILED", approved=True)
    if cvn and total == VISA_CVN_AMOUNT:
        return Outcome("DECLINED", "CVN_NOT_MATCH")
    if total == VISA_PARTIAL_AMOUNT:
        return VISA_PARTIAL if partial else VISA_NOT_ENOUGH
    return VISA_APPROVED


def mastercard_outcome(expiry: date, csc: str | None) -> Outcome:
    """What the Mastercard Gateway says to a card by its expiry date and security code."""
    if csc is not None and MASTERCARD_CSC.get(csc) == "NO_MATCH":
        return Outcome("FAILURE", "DECLINED_CSC")
    if magic := MASTERCARD_EXPIRIES.get(f"{expiry:%m/%y}"):
        return magic
    return Outcome("FAILURE", "EXPIRED_CARD") if expired(expiry) else MASTERCARD_APPROVED


def expired(expiry: date) -> bool:
    """Whether the month of `expiry` is over; cards are good to the end of their month (ISO/IEC 7813)."""
    today = date.today()  # noqa: DTZ011 an issuer's calendar is a local one
    return (expiry.year, expiry.month) < (today.year, today.month)
