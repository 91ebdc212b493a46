"""Uvicorn as the gateway runs it, with bounds on its connections. SIGTERM or SIGINT drains it, then ends it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Generator

import uvicorn
from quart import Quart

from gateway.web.bounded_connection import BoundedConnection
from gateway.web.raw_http import answered

DRAIN_S = 6  # the supervisor stops everything within 10 s
BACKLOG = 2_048
KEEP_ALIVE_S = 75  # longer than the usual 60 s of a client's pool, so that we are not the one who hangs up


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
        http=BoundedConnection,
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
