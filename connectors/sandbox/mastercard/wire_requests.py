"""The request bodies the Mastercard Gateway accepts: the fields its twin reads."""

from datetime import date
from typing import Literal

import msgspec

from connectors.sandbox.http_shapes import positive_money
from schemas.money import Money

DECIMALS_MAX = 3  # whatever the currency has

ApiOperation = Literal["AUTHORIZE", "PAY", "CAPTURE", "REFUND", "VOID"]


class MastercardExpiry(msgspec.Struct, frozen=True):
    """Two digits each."""

    month: str
    year: str


class MastercardCard(msgspec.Struct, frozen=True, rename="camel"):
    """A card in clear. Its text form shows none of its fields."""

    number: str
    expiry: MastercardExpiry
    security_code: str | None = None

    def __repr__(self) -> str:
        return "MastercardCard(…)"

    def expires(self) -> date:
        """The first day of the month it expires in. Raises `ValueError`."""
        if len(self.expiry.year) != 2:
            raise ValueError("the year has two digits")
        return date(2000 + int(self.expiry.year), int(self.expiry.month), 1)

    def masked(self) -> str:
        """The number as the gateway shows it: first six and last four digits."""
        return f"{self.number[:6]}xxxxxx{self.number[-4:]}"


class Provided(msgspec.Struct, frozen=True):
    """The means of payment."""

    card: MastercardCard


class SourceOfFunds(msgspec.Struct, frozen=True):
    """The twin accepts only cards in clear."""

    provided: Provided
    type: Literal["CARD"] = "CARD"


class MastercardAmount(msgspec.Struct, frozen=True, rename="camel"):
    """`order` of a payment, `transaction` of a later call; a void has only the id of the call it takes back."""

    amount: str = ""
    currency: str = ""
    target_transaction_id: str = ""

    def money(self) -> Money:
        """The amount in the body. Raises `ValueError`."""
        if len(self.amount.partition(".")[2]) > DECIMALS_MAX:
            raise ValueError("more decimals than the field has")
        return positive_money(self.amount, self.currency)


class MastercardRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`PUT …/order/{orderId}/transaction/{transactionId}`."""

    api_operation: ApiOperation
    order: MastercardAmount = MastercardAmount()
    transaction: MastercardAmount = MastercardAmount()
    source_of_funds: SourceOfFunds | None = None

    def content(self) -> list[str]:
        """The values by which a repetition is recognised; of the card only those that may be stored."""
        card = self.source_of_funds.provided.card if self.source_of_funds else None
        shown = [card.masked(), card.expiry.month, card.expiry.year] if card else []
        named = (self.order.amount, self.order.currency, self.transaction.amount, self.transaction.currency)
        return [self.api_operation, *named, self.transaction.target_transaction_id, *shown]
