"""The objects of PayPal's Orders v2 and Payments v2: the fields we read."""

import msgspec

from connectors.processors.response_checks import TheirId
from schemas.money import Money

# https://developer.paypal.com/api/rest/reference/currency-codes/
TAKEN = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD"
CURRENCIES = frozenset(TAKEN.split())
WHOLE_UNITS = frozenset({"HUF", "JPY", "TWD"})  # "does not support decimals", "100.00" neither
DECIMALS_MAX = 2


class PayPalAmount(msgspec.Struct):
    """An amount, as decimal text in currency units."""

    value: str
    currency_code: str


def written(money: Money) -> dict[str, str]:
    """An amount as PayPal takes it: `"100"` for a hundred HUF, `"100.00"` for a hundred EUR."""
    places = 0 if money.currency in WHOLE_UNITS else DECIMALS_MAX
    return {"currency_code": money.currency, "value": money.decimal(places)}


class ProcessorResponse(msgspec.Struct):
    """`processor_response`."""

    response_code: str = ""


class RelatedIds(msgspec.Struct):
    """`related_ids`."""

    order_id: str = ""


class SupplementaryData(msgspec.Struct):
    """`supplementary_data`."""

    related_ids: RelatedIds = msgspec.field(default_factory=RelatedIds)


class StatusDetails(msgspec.Struct):
    """`status_details`: why a record is PENDING or was denied."""

    reason: str = ""


class PayPalRecord(msgspec.Struct):
    """An authorization, a capture or a refund. `Prefer: return=representation` makes it whole."""

    id: TheirId
    status: str
    amount: PayPalAmount | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    status_details: StatusDetails = msgspec.field(default_factory=StatusDetails)
    processor_response: ProcessorResponse = msgspec.field(default_factory=ProcessorResponse)
    supplementary_data: SupplementaryData = msgspec.field(default_factory=SupplementaryData)


class PaymentCollection(msgspec.Struct):
    """The authorizations, captures and refunds of an order."""

    authorizations: list[PayPalRecord] = []
    captures: list[PayPalRecord] = []
    refunds: list[PayPalRecord] = []


class PurchaseUnit(msgspec.Struct):
    """One of `purchase_units`; our orders have one."""

    amount: PayPalAmount | None = None
    payments: PaymentCollection = msgspec.field(default_factory=PaymentCollection)


class PayPalLink(msgspec.Struct):
    """One of `links`: `href` is the address of the next step `rel`."""

    href: str
    rel: str


class PayPalOrder(msgspec.Struct):
    """An order and what was done on it."""

    id: TheirId
    status: str
    purchase_units: list[PurchaseUnit] = []
    links: list[PayPalLink] = []


class PayPalErrorDetail(msgspec.Struct):
    """One of an error's `details`."""

    issue: str = ""


class PayPalError(msgspec.Struct):
    """An error's body."""

    name: str = ""
    details: list[PayPalErrorDetail] = []
