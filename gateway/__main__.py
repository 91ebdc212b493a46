"""Runs the gateway: `python -m gateway`. SIGTERM or SIGINT finishes what is in hand, then ends it."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Generator

import structlog
import uvicorn

from connectors.logs import configure
from connectors.processors.settings import ProcessorSettings
from gateway.app import create_app
from gateway.settings import GatewaySettings
from schemas.settings import BadSetting, load

DRAIN_S = 6  # the supervisor stops everything within 10 s
BACKLOG = 2_048
KEEP_ALIVE_S = 75  # longer than the usual 60 s of a client's pool, so that we are not the one who hangs up


class Server(uvicorn.Server):
    """Uvicorn, but the signals are ours: its own handlers raise them again and end with another exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


async def serve(settings: GatewaySettings, processors: ProcessorSettings) -> None:
    """Serve until a signal comes and the last request is answered, or the drain time is over."""
    config = uvicorn.Config(
        create_app(settings, processors),
        host="localhost" if settings.profile == "local" else "0.0.0.0",  # noqa: S104
        port=settings.port("gateway"),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, server)
    await server.serve()
    if not server.started:
        raise SystemExit(3)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


def main() -> int:
    """Exit code 1 where a setting keeps the gateway from starting; the log says which."""
    configure("gateway")
    try:
        asyncio.run(serve(load(GatewaySettings), load(ProcessorSettings)))
    except BadSetting as refusal:
        structlog.get_logger().error("refused", reason=str(refusal))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
