"""The objects of PayPal's Orders v2 and Payments v2, as far as we read them."""

import msgspec

from connectors.processors.response_checks import TheirId


class Sum(msgspec.Struct):
    """An amount in currency units."""

    value: str
    currency_code: str


class Response(msgspec.Struct):
    """`processor_response`."""

    response_code: str = ""


class Related(msgspec.Struct):
    """`related_ids`."""

    order_id: str = ""


class Supplement(msgspec.Struct):
    """`supplementary_data`."""

    related_ids: Related = msgspec.field(default_factory=Related)


class Movement(msgspec.Struct):
    """An authorization, a capture or a refund. `Prefer: return=representation` makes it whole."""

    id: TheirId
    status: str
    amount: Sum | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    processor_response: Response = msgspec.field(default_factory=Response)
    supplementary_data: Supplement = msgspec.field(default_factory=Supplement)


class Payments(msgspec.Struct):
    """What was done on an order."""

    authorizations: list[Movement] = []
    captures: list[Movement] = []
    refunds: list[Movement] = []


class Unit(msgspec.Struct):
    """One of `purchase_units`; ours have one."""

    amount: Sum | None = None
    payments: Payments = msgspec.field(default_factory=Payments)


class Link(msgspec.Struct):
    """Where to go next."""

    href: str
    rel: str


class Order(msgspec.Struct):
    """An order."""

    id: TheirId
    status: str
    purchase_units: list[Unit] = []
    links: list[Link] = []


class Detail(msgspec.Struct):
    """One of an error's `details`."""

    issue: str = ""


class Fault(msgspec.Struct):
    """An error's body."""

    name: str = ""
    details: list[Detail] = []
