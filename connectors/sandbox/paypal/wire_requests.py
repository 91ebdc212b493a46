"""The request bodies PayPal accepts: the fields its twin reads."""

import msgspec

from connectors.sandbox.http_shapes import positive_money
from schemas.money import Money


class RequestedAmount(msgspec.Struct, frozen=True):
    """An amount as text in units of the currency."""

    currency_code: str
    value: str

    def money(self) -> Money:
        """The amount in the body. Raises `ValueError`."""
        return positive_money(self.value, self.currency_code)


class RequestedUnit(msgspec.Struct, frozen=True):
    """A purchase unit. `reference_id` and `custom_id` are the merchant's."""

    amount: RequestedAmount
    reference_id: str = "default"
    custom_id: str = ""
    description: str = ""


class ExperienceContext(msgspec.Struct, frozen=True):
    """The addresses the payer returns to, and the name the page shows."""

    return_url: str = ""
    cancel_url: str = ""
    brand_name: str = ""


class PayPalWallet(msgspec.Struct, frozen=True):
    """`payment_source.paypal`."""

    experience_context: ExperienceContext = ExperienceContext()


class PaymentSource(msgspec.Struct, frozen=True):
    """The twin accepts only PayPal's own wallet."""

    paypal: PayPalWallet


class PayPalOrderRequest(msgspec.Struct, frozen=True):
    """`POST /v2/checkout/orders`; older clients name the addresses in `application_context`."""

    intent: str
    purchase_units: list[RequestedUnit]
    payment_source: PaymentSource | None = None
    application_context: ExperienceContext = ExperienceContext()

    def experience(self) -> ExperienceContext:
        """The experience context, from `payment_source` or else `application_context`."""
        return self.payment_source.paypal.experience_context if self.payment_source else self.application_context


class PayPalMovementRequest(msgspec.Struct, frozen=True):
    """A capture or a refund; without `amount`, of all that is left."""

    amount: RequestedAmount | None = None
    invoice_id: str = ""
    final_capture: bool = False
