"""Mastercard's twin: the Mastercard Gateway's REST wire, version 100."""

import hmac
import re
import sqlite3
from base64 import b64encode
from functools import partial
from typing import NoReturn

from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import mastercard_moves as moves
from connectors.sandbox.mastercard_replies import refusal, unauthenticated
from connectors.sandbox.mastercard_requests import OperationRequest
from connectors.sandbox.wire import Arrival, Call, Route, decode, find
from schemas.payments import ProcessorName

ORDER = r"/api/rest/version/\d+/merchant/([^/]+)/order/([^/]{1,40})"
TRANSACTION = ORDER + r"/transaction/([^/]{1,40})"


class Mastercard:
    """The twin on one database."""

    name: ProcessorName = "mastercard"

    def __init__(self, conn: sqlite3.Connection, settings: ProcessorSettings) -> None:
        self._conn = conn
        self._merchant = settings.mastercard_merchant
        credentials = f"merchant.{settings.mastercard_merchant}:{settings.mastercard_password}"
        self._authorization = b"Basic " + b64encode(credentials.encode())

    def read(self, arrival: Arrival) -> Call:
        """See `Twin`."""
        if not hmac.compare_digest(arrival.header("Authorization").encode(), self._authorization):
            raise unauthenticated()
        if (found := find(ROUTES, arrival)) is None:
            raise refusal("There is no such operation.")
        reader, (merchant, *ids) = found
        if merchant != self._merchant:
            raise unauthenticated()
        return reader(self._conn, arrival, merchant, *ids)


def read_operation(conn: sqlite3.Connection, arrival: Arrival, merchant: str, order: str, id: str) -> Call:
    """`PUT …/order/{orderId}/transaction/{transactionId}`."""
    request = decode(arrival.body, OperationRequest, _refuse)
    kind = moves.OPERATIONS[request.api_operation]
    return Call(kind, partial(moves.put, conn, moves.Key(merchant, order, id), request))


def read_look_up(conn: sqlite3.Connection, _arrival: Arrival, merchant: str, order: str, id: str) -> Call:
    """`GET …/order/{orderId}/transaction/{transactionId}`."""
    return Call("lookup", partial(moves.look_up, conn, moves.Key(merchant, order, id)))


def read_order(conn: sqlite3.Connection, _arrival: Arrival, merchant: str, order: str) -> Call:
    """`GET …/order/{orderId}`."""
    return Call("lookup", partial(moves.look_up_order, conn, merchant, order))


ROUTES: tuple[Route, ...] = (
    ("PUT", re.compile(TRANSACTION), read_operation),
    ("GET", re.compile(TRANSACTION), read_look_up),
    ("GET", re.compile(ORDER), read_order),
)


def _refuse(field: str, reason: str) -> NoReturn:
    raise refusal("The request is not valid.", field, "MISSING" if "missing" in reason else "INVALID")
