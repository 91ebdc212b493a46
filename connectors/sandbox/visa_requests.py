"""The bodies CyberSource takes: the fields its twin reads, under their own names."""

from datetime import date
from typing import Any

import msgspec

from connectors.sandbox.wire import positive_money
from schemas.money import Money


class Client(msgspec.Struct, frozen=True, rename="camel"):
    """`code` is the merchant's reference, `transaction_id` its id of this call (or, in a timeout reversal or
    void, of the call to take back)."""

    code: str = ""
    transaction_id: str = ""


class Options(msgspec.Struct, frozen=True, rename="camel"):
    """`partial_auth_indicator`: the merchant takes a part where the issuer does not approve the whole."""

    partial_auth_indicator: bool = False


class Processing(msgspec.Struct, frozen=True, rename="camel"):
    """`capture`: settle with the authorization."""

    capture: bool = False
    authorization_options: Options = Options()


class AmountDetails(msgspec.Struct, frozen=True, rename="camel"):
    """An amount as text in units of the currency."""

    total_amount: str
    currency: str = ""


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """What is bought and, for an address check, by whom."""

    amount_details: AmountDetails
    bill_to: dict[str, Any] | None = None


class Reversal(msgspec.Struct, frozen=True, rename="camel"):
    """How much of an authorization to release."""

    amount_details: AmountDetails


class Card(msgspec.Struct, frozen=True, rename="camel"):
    """A card in clear. Its text form shows nothing of it."""

    number: str
    expiration_month: str
    expiration_year: str
    security_code: str | None = None

    def __repr__(self) -> str:
        return "Card(…)"

    def expiry(self) -> date:
        """The first day of its last month. Raises `ValueError`."""
        return date(int(self.expiration_year), int(self.expiration_month), 1)


class PaymentInformation(msgspec.Struct, frozen=True):
    """What pays; the twin knows cards in clear only."""

    card: Card


class PaymentRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`POST /pts/v2/payments`."""

    client_reference_information: Client
    order_information: Order
    payment_information: PaymentInformation
    processing_information: Processing = Processing()

    def money(self) -> Money:
        """What is to be authorized. Raises `ValueError`."""
        details = self.order_information.amount_details
        return positive_money(details.total_amount, details.currency)


class FollowUpRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A capture, refund, reversal or void."""

    client_reference_information: Client = Client()
    order_information: Order | None = None
    reversal_information: Reversal | None = None

    def money(self, whole: Money) -> Money:
        """The amount it names, of the currency of `whole`; `whole` where it names none. Raises `ValueError`."""
        named = self.reversal_information or self.order_information
        if named is None:
            return whole
        money = positive_money(named.amount_details.total_amount, named.amount_details.currency or whole.currency)
        if money.currency != whole.currency:
            raise ValueError(f"the currency is {whole.currency}")
        return money


class SearchRequest(msgspec.Struct, frozen=True):
    """`POST /tss/v2/searches`: `field:value`, several of them joined by ` AND `."""

    query: str
    offset: int = 0
    limit: int = 20
