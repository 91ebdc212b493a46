"""Uvicorn as the gateway runs it, with bounds on a request's head. SIGTERM or SIGINT drains it, then ends it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Generator

import structlog
import uvicorn
from quart import Quart
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.problems import Problem
from gateway.web.raw_http import answered, bare_answer

DRAIN_S = 6  # the supervisor stops everything within 10 s
BACKLOG = 2_048
KEEP_ALIVE_S = 75  # longer than the usual 60 s of a client's pool, so that we are not the one who hangs up
HEAD_MAX = 32_768  # bytes of request line and headers, as in nginx; looked at after each read of up to 256 KiB
HEAD_TIMEOUT_S = 10.0

log = structlog.get_logger()


class BoundedHead(HttpToolsProtocol):
    """A connection. Between an answer and the next request uvicorn's own timeout counts."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect a request."""
        super().connection_made(transport)
        self._unread = 0  # bytes since the last whole head or piece of a body
        self._refused = ""  # why nothing more is read
        self._late = self.loop.call_later(HEAD_TIMEOUT_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._late.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse what goes on and on without becoming a request."""
        if self._refused:
            return
        if not self._unread:
            self._late.cancel()
            self._late = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_MAX and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._read()
        super().on_headers_complete()
        if self.parser.should_upgrade():  # to nothing that we speak: what followed would not be read
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there; how much and how slow that may be is Quart's affair."""
        self._read()
        super().on_body(body)

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

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        headers, body = bare_answer(Problem("malformed_request", self._refused))
        named = dict(headers)
        log.info("request.refused", request_id=named[b"request-id"].decode(), reason=self._refused)
        head = b"".join(b"%s: %s\r\n" % each for each in [*self.server_state.default_headers, *headers])
        self.transport.write(STATUS_LINE[400] + head + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _read(self) -> None:
        self._unread = 0
        self._late.cancel()


class SignalledServer(uvicorn.Server):
    """Uvicorn, but the signals are ours: its own handlers raise them again and end with another exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


async def serve(app: Quart, host: str, port: int, proxies: str) -> None:
    """Serve until a signal comes and the last request is answered, or the drain time is over.

    `proxies`: whose X-Forwarded-For counts. Limits are by address: anybody else's would be a way around them.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what it warns of, we refuse and log
    config = uvicorn.Config(
        answered(app),
        host=host,
        port=port,
        forwarded_allow_ips=proxies,
        http=BoundedHead,
        ws="none",  # we have none, and uvicorn would log their addresses with query strings
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = SignalledServer(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, server)
    await server.serve()
    if not server.started:
        raise SystemExit(3)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True
