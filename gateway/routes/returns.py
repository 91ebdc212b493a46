"""Where PayPal sends the payer back to. Anyone may call it, any number of times: PayPal itself is asked."""

from hmac import compare_digest
from typing import cast
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from quart import Blueprint

from connectors.processors.contract import RedirectProcessor
from gateway.books.operations import select_operations
from gateway.books.payments import PaymentRow, select_payment
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import NotFound
from gateway.parts import Parts
from gateway.payments.path import advance, approve, cancel
from gateway.payments.snapshot import PaymentView, view

blueprint = Blueprint("returns", __name__)


class Back(msgspec.Struct, frozen=True):
    """`cancelled` is there where the payer refused; PayPal adds parameters of its own, which are not read."""

    cancelled: str | None = None


@blueprint.get("/v1/return/<payment>/<nonce>")
@endpoint(scope=None, limit="public", query=Back, answers={200: PaymentView, 303: None}, codes=("not_found",))
async def come_back(call: Call, payment: str, nonce: str) -> Reply:
    """Finish a payment its payer approved, or void it, then send the payer on to `return_url`."""
    row = await call.parts.books.read(select_payment, payment)
    if row is None or row.return_nonce is None or not compare_digest(nonce.encode(), row.return_nonce.encode()):
        raise NotFound
    done = await call.parts.shielded(_finish(call.parts, row, call.query.cancelled is not None))
    if done.return_url is None:
        return Reply(200, view(done, "customer"))
    return Reply(303, headers={"Location": _with_payment(done.return_url, done.id)})


async def _finish(parts: Parts, row: PaymentRow, cancelled: bool) -> PaymentRow:
    if row.state != "requires_action":
        return row
    if cancelled:
        step = await parts.books.write(cancel, parts.terms, row.id)
        return step.payment if step else row
    order = (await parts.books.read(select_operations, row.id))[0]
    paypal = cast(RedirectProcessor, parts.processors["paypal"])
    said = (await paypal.order_status(order.processor_reference or "")).result
    if said != "succeeded":  # not approved yet, or PayPal is silent: the payer may come again
        return row
    approved = await parts.books.write(approve, parts.terms, row.id)
    return (await advance(parts, approved, None)).payment if approved else row


def _with_payment(url: str, payment: str) -> str:
    scheme, host, path, query, fragment = urlsplit(url)
    more = urlencode({"payment": payment})
    return urlunsplit((scheme, host, path, f"{query}&{more}" if query else more, fragment))
