"""The request bodies PayPal accepts: the fields its twin reads."""

import msgspec

from connectors.sandbox.http_shapes import positive_money
from schemas.money import Money

# https://developer.paypal.com/api/rest/reference/currency-codes/
TAKEN = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD"
CURRENCIES = frozenset(TAKEN.split())
WITHOUT_DECIMALS = frozenset({"HUF", "JPY", "TWD"})


class WrongAmount(ValueError):
    """An amount that PayPal refuses; `issue` is its word for why."""

    def __init__(self, issue: str, description: str) -> None:
        super().__init__(description)
        self.issue = issue


class RequestedAmount(msgspec.Struct, frozen=True):
    """An amount as text in units of the currency."""

    currency_code: str
    value: str

    def money(self) -> Money:
        """The amount in the body. Raises `WrongAmount`."""
        decimals = len(self.value.partition(".")[2])
        if self.currency_code not in CURRENCIES:
            raise WrongAmount("INVALID_CURRENCY_CODE", "Currency code is invalid or is not currently supported.")
        if self.currency_code in WITHOUT_DECIMALS and decimals:
            raise WrongAmount("DECIMALS_NOT_SUPPORTED", "Currency does not support decimals.")
        if decimals > 2:
            raise WrongAmount("DECIMAL_PRECISION", "Only two decimal place precision is supported.")
        try:
            return positive_money(self.value, self.currency_code)
        except ValueError as error:
            raise WrongAmount("INVALID_PARAMETER_VALUE", str(error)) from None


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
