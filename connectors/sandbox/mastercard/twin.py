"""Mastercard's twin: the Mastercard Gateway's REST wire, version 100."""

import hmac
import re
import sqlite3
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.http_shapes import ReceivedRequest, Route, TwinCall, decode, find_route
from connectors.sandbox.mastercard import ledger_rules as rules
from connectors.sandbox.mastercard.wire_replies import refusal, unauthenticated
from connectors.sandbox.mastercard.wire_requests import MastercardRequest
from schemas.payments import ProcessorName

ORDER = r"/api/rest/version/\d+/merchant/([^/]+)/order/([^/]{1,40})"
TRANSACTION = ORDER + r"/transaction/([^/]{1,40})"


class MastercardTwin:
    """The twin on one database."""

    name: ProcessorName = "mastercard"

    def __init__(self, conn: sqlite3.Connection, settings: ProcessorSettings) -> None:
        self._conn = conn
        self._merchant = settings.mastercard_merchant
        self.accept([settings.secret("mastercard").text()])

    def accept(self, secrets: Sequence[str]) -> None:
        """See `Twin`."""
        users = [f"merchant.{self._merchant}:{secret}".encode() for secret in secrets]
        self._authorizations = [b"Basic " + b64encode(user) for user in users]

    def read(self, received: ReceivedRequest) -> TwinCall:
        """See `Twin`."""
        given = received.header("Authorization").encode()
        if not any(hmac.compare_digest(given, known) for known in self._authorizations):
            raise unauthenticated()
        if (found := find_route(ROUTES, received)) is None:
            raise refusal("There is no such operation.")
        reader, (merchant, *ids) = found
        if merchant != self._merchant:
            raise unauthenticated()
        return reader(self._conn, received, merchant, *ids)


def read_operation(
    conn: sqlite3.Connection, received: ReceivedRequest, merchant: str, order: str, id: str
) -> TwinCall:
    """`PUT …/order/{orderId}/transaction/{transactionId}`."""
    request = decode(received.body, MastercardRequest, _refuse)
    kind = rules.OPERATIONS[request.api_operation]
    return TwinCall(kind, partial(rules.put, conn, rules.TransactionKey(merchant, order, id), request))


def read_look_up(
    conn: sqlite3.Connection, _received: ReceivedRequest, merchant: str, order: str, id: str
) -> TwinCall:
    """`GET …/order/{orderId}/transaction/{transactionId}`."""
    return TwinCall("lookup", partial(rules.look_up, conn, rules.TransactionKey(merchant, order, id)))


def read_order(conn: sqlite3.Connection, _received: ReceivedRequest, merchant: str, order: str) -> TwinCall:
    """`GET …/order/{orderId}`."""
    return TwinCall("lookup", partial(rules.look_up_order, conn, merchant, order))


ROUTES: tuple[Route, ...] = (
    ("PUT", re.compile(TRANSACTION), read_operation),
    ("GET", re.compile(TRANSACTION), read_look_up),
    ("GET", re.compile(ORDER), read_order),
)


def _refuse(field: str, reason: str) -> NoReturn:
    raise refusal("The request is not valid.", field, "MISSING" if "missing" in reason else "INVALID")
