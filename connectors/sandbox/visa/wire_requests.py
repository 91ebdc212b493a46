"""The request bodies CyberSource accepts: the fields its twin reads."""

from datetime import date
from typing import Any

import msgspec

from connectors.sandbox.http_shapes import positive_money
from schemas.money import Money

COUNT_MAX = 99  # captures of one authorization


class ClientReferenceInformation(msgspec.Struct, frozen=True, rename="camel"):
    """`code` is the merchant's reference, `transaction_id` its id of this call (or, in a timeout reversal or
    void, of the call to take back)."""

    code: str = ""
    transaction_id: str = ""


class AuthorizationOptions(msgspec.Struct, frozen=True, rename="camel"):
    """`partial_auth_indicator`: the merchant accepts a part where the issuer does not approve the whole."""

    partial_auth_indicator: bool = False


class CaptureOptions(msgspec.Struct, frozen=True, rename="camel"):
    """Which of how many captures of one authorization this is, from 1."""

    capture_sequence_number: int = 0
    total_capture_count: int = 0

    def final(self) -> bool:
        """Whether it is the last. Raises `ValueError` for numbers that cannot be."""
        number, count = self.capture_sequence_number, self.total_capture_count
        if self != CaptureOptions() and not 1 <= number <= count <= COUNT_MAX:
            raise ValueError(f"the count is at most {COUNT_MAX}, and the number 1 to the count")
        return number == count


class ProcessingInformation(msgspec.Struct, frozen=True, rename="camel"):
    """`capture`: settle with the authorization."""

    capture: bool = False
    authorization_options: AuthorizationOptions = AuthorizationOptions()
    capture_options: CaptureOptions = CaptureOptions()


class AmountDetails(msgspec.Struct, frozen=True, rename="camel"):
    """An amount as text in units of the currency."""

    total_amount: str
    currency: str = ""


class OrderInformation(msgspec.Struct, frozen=True, rename="camel"):
    """What is bought and, for an address check, by whom."""

    amount_details: AmountDetails
    bill_to: dict[str, Any] | None = None


class ReversalInformation(msgspec.Struct, frozen=True, rename="camel"):
    """How much of an authorization to release."""

    amount_details: AmountDetails


class VisaCard(msgspec.Struct, frozen=True, rename="camel"):
    """A card in clear. Its text form shows none of its fields."""

    number: str
    expiration_month: str
    expiration_year: str
    security_code: str | None = None

    def __repr__(self) -> str:
        return "VisaCard(…)"

    def expiry(self) -> date:
        """The first day of the month it expires in. Raises `ValueError`."""
        return date(int(self.expiration_year), int(self.expiration_month), 1)


class PaymentInformation(msgspec.Struct, frozen=True):
    """The means of payment; the twin accepts only cards in clear."""

    card: VisaCard


class VisaPaymentRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`POST /pts/v2/payments`."""

    client_reference_information: ClientReferenceInformation
    order_information: OrderInformation
    payment_information: PaymentInformation
    processing_information: ProcessingInformation = ProcessingInformation()

    def money(self) -> Money:
        """The amount to authorize. Raises `ValueError`."""
        details = self.order_information.amount_details
        return positive_money(details.total_amount, details.currency)


class VisaFollowUpRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A capture, refund, reversal or void."""

    client_reference_information: ClientReferenceInformation = ClientReferenceInformation()
    order_information: OrderInformation | None = None
    reversal_information: ReversalInformation | None = None
    processing_information: ProcessingInformation = ProcessingInformation()

    def money(self, whole: Money) -> Money:
        """The amount in the body, or `whole` where it has none. Raises `ValueError` for another currency."""
        named = self.reversal_information or self.order_information
        if named is None:
            return whole
        money = positive_money(named.amount_details.total_amount, named.amount_details.currency or whole.currency)
        if money.currency != whole.currency:
            raise ValueError(f"the currency is {whole.currency}")
        return money


class VisaSearchRequest(msgspec.Struct, frozen=True):
    """`POST /tss/v2/searches`: `field:value`, several of them joined by ` AND `."""

    query: str
    offset: int = 0
    limit: int = 20
    sort: str = "submitTimeUtc:asc"
