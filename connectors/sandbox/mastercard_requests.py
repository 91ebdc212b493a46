"""The bodies the Mastercard Gateway takes: the fields its twin reads, under their own names."""

from datetime import date
from typing import Literal

import msgspec

from connectors.sandbox.wire import positive_money
from schemas.money import Money

ApiOperation = Literal["AUTHORIZE", "PAY", "CAPTURE", "REFUND", "VOID"]


class Expiry(msgspec.Struct, frozen=True):
    """Two digits each."""

    month: str
    year: str


class Card(msgspec.Struct, frozen=True, rename="camel"):
    """A card in clear. Its text form shows nothing of it."""

    number: str
    expiry: Expiry
    security_code: str | None = None

    def __repr__(self) -> str:
        return "Card(…)"

    def expires(self) -> date:
        """The first day of its last month. Raises `ValueError`."""
        if len(self.expiry.year) != 2:
            raise ValueError("the year has two digits")
        return date(2000 + int(self.expiry.year), int(self.expiry.month), 1)

    def masked(self) -> str:
        """The number as the gateway shows it: first six and last four digits."""
        return f"{self.number[:6]}xxxxxx{self.number[-4:]}"


class Provided(msgspec.Struct, frozen=True):
    """What pays."""

    card: Card


class SourceOfFunds(msgspec.Struct, frozen=True):
    """The twin knows cards in clear only."""

    provided: Provided
    type: Literal["CARD"] = "CARD"


class Amount(msgspec.Struct, frozen=True, rename="camel"):
    """`order` of a payment and `transaction` of what follows; a void names only what it takes back."""

    amount: str = ""
    currency: str = ""
    target_transaction_id: str = ""

    def money(self) -> Money:
        """Raises `ValueError`."""
        return positive_money(self.amount, self.currency)


class OperationRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`PUT …/order/{orderId}/transaction/{transactionId}`."""

    api_operation: ApiOperation
    order: Amount = Amount()
    transaction: Amount = Amount()
    source_of_funds: SourceOfFunds | None = None

    def content(self) -> list[str]:
        """What makes it the same request as another one; of the card only what may be stored."""
        card = self.source_of_funds.provided.card if self.source_of_funds else None
        shown = [card.masked(), card.expiry.month, card.expiry.year] if card else []
        named = (self.order.amount, self.order.currency, self.transaction.amount, self.transaction.currency)
        return [self.api_operation, *named, self.transaction.target_transaction_id, *shown]
