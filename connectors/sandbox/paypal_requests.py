"""The bodies PayPal takes: the fields its twin reads, under their own names."""

import msgspec

from connectors.sandbox.wire import positive_money
from schemas.money import Money


class Amount(msgspec.Struct, frozen=True):
    """An amount as text in units of the currency."""

    currency_code: str
    value: str

    def money(self) -> Money:
        """Raises `ValueError`."""
        return positive_money(self.value, self.currency_code)


class Unit(msgspec.Struct, frozen=True):
    """What is bought. `reference_id` and `custom_id` are the merchant's."""

    amount: Amount
    reference_id: str = "default"
    custom_id: str = ""
    description: str = ""


class Experience(msgspec.Struct, frozen=True):
    """Where the payer goes afterwards, and whose name the page shows."""

    return_url: str = ""
    cancel_url: str = ""
    brand_name: str = ""


class Wallet(msgspec.Struct, frozen=True):
    """`payment_source.paypal`."""

    experience_context: Experience = Experience()


class Source(msgspec.Struct, frozen=True):
    """The twin knows PayPal's own wallet only."""

    paypal: Wallet


class OrderRequest(msgspec.Struct, frozen=True):
    """`POST /v2/checkout/orders`; older clients name the addresses in `application_context`."""

    intent: str
    purchase_units: list[Unit]
    payment_source: Source | None = None
    application_context: Experience = Experience()

    def experience(self) -> Experience:
        """Where the payer goes, from the one place or the other."""
        return self.payment_source.paypal.experience_context if self.payment_source else self.application_context


class MovementRequest(msgspec.Struct, frozen=True):
    """A capture or a refund; without `amount` all that is left."""

    amount: Amount | None = None
    invoice_id: str = ""
    final_capture: bool = False
