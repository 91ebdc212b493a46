"""What somebody paid, with every text of theirs, a page at a time: for the export of all that is kept of them."""

import msgspec
from sqlalchemy import Connection

from gateway.books import persons
from gateway.books.engine import Slice
from gateway.books.payment_lists import PaymentFilter, list_payments
from gateway.books.payments import PaymentRow
from gateway.books.persons import PAYMENT_TEXTS, REFUND_TEXTS
from gateway.books.refunds import RefundFilter, RefundRow, list_refunds
from gateway.payments.views import PaymentView, Reader, RefundView, payment_view, refund_view
from gateway.prints import Prints

AT_ONCE = 100
REFUNDS_MAX = 1_000  # of a payment


class PaidPayment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment as its payer sees it, and what else is kept of it.

    `return_url`: where they came from. `country`: of the address they paid from; of it, its network, the device
    and the domain of the e-mail address only keyed hashes are kept. `refunds` with the reasons the merchant gave.
    """

    payment: PaymentView
    refunds: list[RefundView]
    return_url: str | None = None
    country: str | None = None
    address_hash: str | None = None
    device_hash: str | None = None
    network_hash: str | None = None
    email_domain_hash: str | None = None


class PaidRow(msgspec.Struct, frozen=True):
    """A payment and its refunds, opened."""

    payment: PaymentRow
    refunds: list[RefundRow]


def paid_rows(conn: Connection, customer_id: str, after_id: str | None) -> Slice[PaidRow, str]:
    """The next payments of a payer, the newest first; their key is fetched once."""
    found = list_payments(conn, after_id, AT_ONCE, PaymentFilter(customer_id=customer_id))
    payments = persons.opened_rows(conn, PAYMENT_TEXTS, found.rows)
    return Slice([PaidRow(row, _refunds(conn, row.id)) for row in payments], found.reached)


def paid_payment(row: PaidRow, payer: Reader, prints: Prints) -> PaidPayment:
    """A payment as it is exported."""
    return PaidPayment(
        payment=payment_view(row.payment, payer, prints),
        refunds=[refund_view(refund, "merchant") for refund in row.refunds],
        return_url=row.payment.return_url,
        country=row.payment.country,
        address_hash=row.payment.ip_hash,
        device_hash=row.payment.device_hash,
        network_hash=row.payment.ip_network_hash,
        email_domain_hash=row.payment.email_domain_hash,
    )


def _refunds(conn: Connection, payment_id: str) -> list[RefundRow]:
    rows = list_refunds(conn, None, REFUNDS_MAX, RefundFilter(payment_id=payment_id))
    return persons.opened_rows(conn, REFUND_TEXTS, rows)
