"""Visa's twin: CyberSource's REST wire, `/pts/v2` to move money and `/tss/v2` to ask.

It deduplicates nothing, as CyberSource does not: a call sent twice is applied twice.
"""

import re
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from connectors.processors.http_signature import signer_of
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.http_shapes import ReceivedRequest, RequestKind, Route, TwinCall, decode, find_route
from connectors.sandbox.visa import ledger_rules as rules
from connectors.sandbox.visa.signature import SignatureKey
from connectors.sandbox.visa.wire_replies import not_found, refusal, unauthenticated
from connectors.sandbox.visa.wire_requests import VisaFollowUpRequest, VisaPaymentRequest, VisaSearchRequest
from schemas.ids import new_id
from schemas.payments import ProcessorName

ID = r"(\w+)"


class VisaTwin:
    """The twin on one database."""

    name: ProcessorName = "visa"

    def __init__(self, conn: sqlite3.Connection, settings: ProcessorSettings) -> None:
        self._conn = conn
        self._settings = settings
        self.accept([settings.secret("visa").text()])

    def accept(self, secrets: Sequence[str]) -> None:
        """See `Twin`. The id of a key may stand before it, as in the gateway's file."""
        signers = [signer_of(self._settings.visa_merchant, self._settings.visa_key, secret) for secret in secrets]
        self._keys = [SignatureKey(signer.merchant, signer.key, signer.secret) for signer in signers]

    def read(self, received: ReceivedRequest) -> TwinCall:
        """See `Twin`."""
        if not any(key.signed(received) for key in self._keys):
            raise unauthenticated()
        if (found := find_route(ROUTES, received)) is None:
            raise not_found()
        reader, ids = found
        return reader(self._conn, received, *ids)


def read_payment(conn: sqlite3.Connection, received: ReceivedRequest) -> TwinCall:
    """`POST /pts/v2/payments`."""
    request = decode(received.body, VisaPaymentRequest, _refuse)
    kind: RequestKind = "sale" if request.processing_information.capture else "authorize"
    return TwinCall(kind, partial(rules.pay, conn, request))


def read_capture(conn: sqlite3.Connection, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /pts/v2/payments/{id}/captures`."""
    return TwinCall("capture", partial(rules.capture, conn, id, _follow_up(received)))


def read_reversal(conn: sqlite3.Connection, received: ReceivedRequest, id: str) -> TwinCall:
    """`POST /pts/v2/payments/{id}/reversals`."""
    return TwinCall("reversal", partial(rules.reverse, conn, id, _follow_up(received)))


def read_refund(conn: sqlite3.Connection, received: ReceivedRequest, plural: str, id: str) -> TwinCall:
    """`POST /pts/v2/{payments|captures}/{id}/refunds`."""
    return TwinCall("refund", partial(rules.refund, conn, id, rules.KINDS[plural], _follow_up(received)))


def read_void(conn: sqlite3.Connection, received: ReceivedRequest, plural: str, id: str) -> TwinCall:
    """`POST /pts/v2/{payments|captures|refunds}/{id}/voids`."""
    return TwinCall("void", partial(rules.void, conn, id, rules.KINDS[plural], _follow_up(received)))


def read_timeout_reversal(conn: sqlite3.Connection, received: ReceivedRequest) -> TwinCall:
    """`POST /pts/v2/reversals`."""
    return TwinCall("reversal", partial(rules.reverse_by_request, conn, _follow_up(received), _own_id(received)))


def read_timeout_void(conn: sqlite3.Connection, received: ReceivedRequest) -> TwinCall:
    """`POST /pts/v2/voids`."""
    return TwinCall("void", partial(rules.void_by_request, conn, _follow_up(received), _own_id(received)))


def read_look_up(conn: sqlite3.Connection, received: ReceivedRequest, id: str) -> TwinCall:
    """`GET /tss/v2/transactions/{id}`."""
    return TwinCall("lookup", partial(rules.look_up, conn, id))


def read_search(conn: sqlite3.Connection, received: ReceivedRequest) -> TwinCall:
    """`POST /tss/v2/searches`."""
    return TwinCall("lookup", partial(rules.search, conn, decode(received.body, VisaSearchRequest, _refuse)))


ROUTES: tuple[Route, ...] = (
    ("POST", re.compile("/pts/v2/payments/?"), read_payment),
    ("POST", re.compile(f"/pts/v2/payments/{ID}/captures/?"), read_capture),
    ("POST", re.compile(f"/pts/v2/payments/{ID}/reversals/?"), read_reversal),
    ("POST", re.compile(f"/pts/v2/(payments|captures)/{ID}/refunds/?"), read_refund),
    ("POST", re.compile(f"/pts/v2/(payments|captures|refunds)/{ID}/voids/?"), read_void),
    ("POST", re.compile("/pts/v2/reversals/?"), read_timeout_reversal),
    ("POST", re.compile("/pts/v2/voids/?"), read_timeout_void),
    ("GET", re.compile(f"/tss/v2/transactions/{ID}/?"), read_look_up),
    ("POST", re.compile("/tss/v2/searches/?"), read_search),
)


def _follow_up(received: ReceivedRequest) -> VisaFollowUpRequest:
    return decode(received.body, VisaFollowUpRequest, _refuse)


def _own_id(received: ReceivedRequest) -> str:
    return received.header("v-c-correlation-id") or new_id("visa")


def _refuse(field: str, reason: str) -> NoReturn:
    missing = "missing" in reason
    raise refusal("MISSING_FIELD" if missing else "INVALID_DATA", "The request is not valid.", field)
