"""Where a processor sends the payer back to. Anyone may call it: only what the processor answers counts."""

from hmac import compare_digest
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from quart import Blueprint

from gateway.books.payments import select_payment
from gateway.payments.orders import payer_returned
from gateway.payments.views import PaymentView, payment_view
from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint

blueprint = Blueprint("returns", __name__)


class ReturnQuery(msgspec.Struct, frozen=True):
    """`cancelled` is there where the payer refused; parameters that the processor adds are not read."""

    cancelled: str | None = None


@blueprint.get("/v1/return/<payment>/<nonce>")
@endpoint(
    scope=None, limit="public", query=ReturnQuery, answers={200: PaymentView, 303: None}, codes=("not_found",)
)
async def come_back(call: Call[None, ReturnQuery], payment_id: str, nonce: str) -> Reply:
    """Finish a payment its payer approved, or void it, then send the payer on to `return_url`."""
    row = await call.runtime.books.read(select_payment, payment_id)
    if row is None or row.return_nonce is None or not compare_digest(nonce.encode(), row.return_nonce.encode()):
        raise Problem("not_found")
    cancelled = call.query.cancelled is not None
    done = await call.runtime.shielded(payer_returned(call.runtime, row, cancelled=cancelled))
    if done.return_url is None:
        return Reply(200, payment_view(done, "customer"))
    return Reply(303, headers={"Location": _with_payment(done.return_url, done.id)})


def _with_payment(url: str, payment_id: str) -> str:
    scheme, host, path, query, fragment = urlsplit(url)
    more = urlencode({"payment": payment_id})
    return urlunsplit((scheme, host, path, f"{query}&{more}" if query else more, fragment))
