"""Runs the gateway: `python -m gateway`."""

import asyncio
import gc
import sys

import structlog

from connectors.logs import configure
from connectors.processors.settings import ProcessorSettings
from gateway.app import create_app
from gateway.settings import GatewaySettings
from gateway.vault.isolation import keep_memory_private
from gateway.web.serving import serve
from schemas.settings import BadSetting, load

COLLECTED_AFTER = 10_000  # objects; by default 700, so that young ones are looked through several times a payment


async def run(settings: GatewaySettings, processors: ProcessorSettings) -> None:
    """Serve the gateway until a signal comes."""
    host = "localhost" if settings.profile == "local" else "0.0.0.0"  # noqa: S104
    app = create_app(settings, processors)
    app.before_serving(_keep_what_stays)
    await serve(app, host, settings.port("gateway"), settings.proxies)


async def _keep_what_stays() -> None:
    """Leave what the start made out of garbage collection: a look through all of it took 85 ms, with every payment
    waiting, after each 700 of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)


def main() -> int:
    """Exit code 1 where a setting keeps the gateway from starting; the log says which."""
    keep_memory_private()  # card numbers and CVCs pass through it
    configure("gateway")
    try:
        asyncio.run(run(load(GatewaySettings), load(ProcessorSettings)))
    except BadSetting as refusal:
        structlog.get_logger().error("refused", reason=str(refusal))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
