"""HTTP/1.1 as uvicorn speaks it, with the two bounds it lacks: how long a request's head may be, and may take."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 32_768  # bytes of request line and headers, as in nginx; looked at after each read of up to 256 KiB
HEAD_TIMEOUT_S = 10.0


class BoundedHead(HttpToolsProtocol):
    """A connection. Between an answer and the next request uvicorn's own timeout counts."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect a request."""
        super().connection_made(transport)
        self._unread = 0  # bytes since the last whole head or piece of a body
        self._late = self.loop.call_later(HEAD_TIMEOUT_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._late.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse what goes on and on without becoming a request."""
        if not self._unread:
            self._late.cancel()
            self._late = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_MAX and not self.transport.is_closing():
            self.send_400_response("Request head too long.")

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._read()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there; how much and how slow that may be is Quart's affair."""
        self._read()
        super().on_body(body)

    def _read(self) -> None:
        self._unread = 0
        self._late.cancel()
