"""Runs the gateway: `python -m gateway`."""

import asyncio
import sys

import structlog

from connectors.logs import configure
from connectors.processors.settings import ProcessorSettings
from gateway.app import create_app
from gateway.serving import serve
from gateway.settings import GatewaySettings
from schemas.settings import BadSetting, load


async def run(settings: GatewaySettings, processors: ProcessorSettings) -> None:
    """Serve the gateway until a signal comes."""
    host = "localhost" if settings.profile == "local" else "0.0.0.0"  # noqa: S104
    await serve(create_app(settings, processors), host, settings.port("gateway"))


def main() -> int:
    """Exit code 1 where a setting keeps the gateway from starting; the log says which."""
    configure("gateway")
    try:
        asyncio.run(run(load(GatewaySettings), load(ProcessorSettings)))
    except BadSetting as refusal:
        structlog.get_logger().error("refused", reason=str(refusal))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
