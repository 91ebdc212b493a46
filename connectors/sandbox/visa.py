"""Visa's twin: CyberSource's REST wire, `/pts/v2` to move money and `/tss/v2` to ask.

It dedupes nothing, as CyberSource does not: a call sent twice is applied twice.
"""

import re
import sqlite3
from functools import partial
from typing import NoReturn

from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import visa_moves as moves
from connectors.sandbox.signature import SignatureKey
from connectors.sandbox.visa_replies import not_found, refusal, unauthenticated
from connectors.sandbox.visa_requests import FollowUpRequest, PaymentRequest, SearchRequest
from connectors.sandbox.wire import Arrival, Call, Kind, Route, decode, find
from schemas.ids import new_id
from schemas.payments import ProcessorName

ID = r"(\w+)"


class Visa:
    """The twin on one database."""

    name: ProcessorName = "visa"

    def __init__(self, conn: sqlite3.Connection, settings: ProcessorSettings) -> None:
        self._conn = conn
        self._key = SignatureKey(settings.visa_merchant, settings.visa_key, settings.visa_secret)

    def read(self, arrival: Arrival) -> Call:
        """See `Twin`."""
        if not self._key.signed(arrival):
            raise unauthenticated()
        if (found := find(ROUTES, arrival)) is None:
            raise not_found()
        reader, ids = found
        return reader(self._conn, arrival, *ids)


def read_payment(conn: sqlite3.Connection, arrival: Arrival) -> Call:
    """`POST /pts/v2/payments`."""
    request = decode(arrival.body, PaymentRequest, _refuse)
    kind: Kind = "sale" if request.processing_information.capture else "authorize"
    return Call(kind, partial(moves.pay, conn, request))


def read_capture(conn: sqlite3.Connection, arrival: Arrival, id: str) -> Call:
    """`POST /pts/v2/payments/{id}/captures`."""
    return Call("capture", partial(moves.capture, conn, id, _follow_up(arrival)))


def read_reversal(conn: sqlite3.Connection, arrival: Arrival, id: str) -> Call:
    """`POST /pts/v2/payments/{id}/reversals`."""
    return Call("reversal", partial(moves.reverse, conn, id, _follow_up(arrival)))


def read_refund(conn: sqlite3.Connection, arrival: Arrival, of: str, id: str) -> Call:
    """`POST /pts/v2/{payments|captures}/{id}/refunds`."""
    return Call("refund", partial(moves.refund, conn, id, moves.KINDS[of], _follow_up(arrival)))


def read_void(conn: sqlite3.Connection, arrival: Arrival, of: str, id: str) -> Call:
    """`POST /pts/v2/{payments|captures|refunds}/{id}/voids`."""
    return Call("void", partial(moves.void, conn, id, moves.KINDS[of], _follow_up(arrival)))


def read_timeout_reversal(conn: sqlite3.Connection, arrival: Arrival) -> Call:
    """`POST /pts/v2/reversals`."""
    return Call("reversal", partial(moves.reverse_by_request, conn, _follow_up(arrival), _own_id(arrival)))


def read_timeout_void(conn: sqlite3.Connection, arrival: Arrival) -> Call:
    """`POST /pts/v2/voids`."""
    return Call("void", partial(moves.void_by_request, conn, _follow_up(arrival), _own_id(arrival)))


def read_look_up(conn: sqlite3.Connection, arrival: Arrival, id: str) -> Call:
    """`GET /tss/v2/transactions/{id}`."""
    return Call("lookup", partial(moves.look_up, conn, id))


def read_search(conn: sqlite3.Connection, arrival: Arrival) -> Call:
    """`POST /tss/v2/searches`."""
    return Call("lookup", partial(moves.search, conn, decode(arrival.body, SearchRequest, _refuse)))


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


def _follow_up(arrival: Arrival) -> FollowUpRequest:
    return decode(arrival.body, FollowUpRequest, _refuse)


def _own_id(arrival: Arrival) -> str:
    return arrival.header("v-c-correlation-id") or new_id("visa")


def _refuse(field: str, reason: str) -> NoReturn:
    missing = "missing" in reason
    raise refusal("MISSING_FIELD" if missing else "INVALID_DATA", "The request is not valid.", field)
