"""A connection as the gateway serves it: all that a client may draw out has a bound (docs/decisions/0018, 0038).

A request's head has a length and a time, its body a time, the reading of an answer a time. Of connections that
ask for nothing there are so many; past that those of whoever holds the most are closed.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from time import monotonic
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.addresses import network_of
from gateway.problems import Problem
from gateway.web.raw_http import bare_answer

HEAD_MAX = 32_768  # bytes of request line and headers, as in nginx; looked at after each read of up to 256 KiB
HEAD_TIMEOUT_S = 10.0
BODY_TIMEOUT_S = 10.0  # from the head on; Quart refuses a slower body after five, where a handler waits for it
BODY_PIECE = 64 * 1024  # bytes of a file that come in this time, each time
UNREAD_TIMEOUT_S = 30.0  # for a client that does not read what it asked for
IDLE_MAX = 1_000  # about 20 KB each

log = structlog.get_logger()


class BoundedConnection(HttpToolsProtocol):
    """A connection. Between an answer and the next request uvicorn's own timeout counts."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect a request."""
        super().connection_made(transport)
        self._unparsed = 0  # bytes since the last whole head or piece of a body
        self._brought = 0  # bytes of a body since its time began anew
        self._refused = ""  # why nothing more is read
        self._late: asyncio.TimerHandle | None = None  # set while a request is not whole
        self._unread: asyncio.TimerHandle | None = None  # set while more waits to be read than may
        self.asked_at = monotonic()  # when it was opened, or asked the last time
        self.network = network_of(self.client[0]) if self.client else ""
        self._expect(HEAD_TIMEOUT_S)
        for surplus in surplus_of(self.connections):
            surplus.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._expect(None)
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse what goes on and on without becoming a request."""
        if self._refused:
            return
        if self._late is None:
            self._expect(HEAD_TIMEOUT_S)
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > HEAD_MAX and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._unparsed = self._brought = 0
        self._expect(BODY_TIMEOUT_S)
        super().on_headers_complete()
        if self.parser.should_upgrade():  # to nothing that we speak: what followed would not be read
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there; how much it may be is Quart's affair."""
        self._unparsed = 0
        self._brought += len(body)
        if self._brought >= BODY_PIECE:
            self._brought = 0
            self._expect(BODY_TIMEOUT_S)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._expect(None)
        self.asked_at = monotonic()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, once those before it are answered, and close the connection."""
        self._refused = msg
        cycle = self.cycle
        in_body = cycle is not None and cycle.more_body
        if in_body and cycle.response_started:  # what is no HTTP has its answer, or a part of it
            self.transport.close()
        elif in_body or cycle is None or cycle.response_complete:
            self._refuse()

    def on_response_complete(self) -> None:
        """Answer the next request, or what was none."""
        super().on_response_complete()
        if self._refused and self.cycle.response_complete:
            self._refuse()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        self._unread = self.loop.call_later(UNREAD_TIMEOUT_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._read_on()
        super().resume_writing()

    def is_idle(self) -> bool:
        """Whether no request of it is in hand: none came yet, one is not whole, or the last one is answered."""
        if self.transport.is_closing():
            return False
        return self._late is not None or self.cycle is None or self.cycle.response_complete

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        headers, body = bare_answer(Problem("malformed_request", self._refused))
        named = dict(headers)
        log.info("request.refused", request_id=named[b"request-id"].decode(), reason=self._refused)
        head = b"".join(b"%s: %s\r\n" % each for each in [*self.server_state.default_headers, *headers])
        self.transport.write(STATUS_LINE[400] + head + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _expect(self, within_s: float | None) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = None if within_s is None else self.loop.call_later(within_s, self.transport.abort)

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._unread = None


def surplus_of(connections: Iterable[Any]) -> list[BoundedConnection]:
    """What to close of idle connections once there are too many: an eighth more than that, so that it is seldom.

    Each network keeps its newest, as many as all others, until there is room for no more.
    """
    everybody = list(connections)
    most = min(IDLE_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    idle = [connection for connection in everybody if connection.is_idle()] if len(everybody) > most else []
    if len(idle) <= most:
        return []
    newer: Counter[str] = Counter()  # of the same network
    ranked: list[tuple[int, BoundedConnection]] = []
    for connection in sorted(idle, key=lambda c: c.asked_at, reverse=True):
        ranked.append((newer[connection.network], connection))
        newer[connection.network] += 1
    ranked.sort(key=itemgetter(0))
    return [connection for _, connection in ranked[most - most // 8 :]]
