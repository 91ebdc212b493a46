"""The objects of PayPal's Orders v2 and Payments v2: the fields we read."""

import msgspec

from connectors.processors.response_checks import TheirId


class PayPalAmount(msgspec.Struct):
    """An amount, as decimal text in currency units."""

    value: str
    currency_code: str


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
