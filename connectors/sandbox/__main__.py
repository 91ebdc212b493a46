"""`python -m connectors.sandbox`: the processors' twins and their control port, until SIGINT or SIGTERM."""

import asyncio
import signal
import sys

import structlog
from aiohttp import web

from connectors import logs
from connectors.private_files import keep_private
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.control import control
from connectors.sandbox.sandbox import Sandbox
from schemas.settings import BadSetting, load

SHUTDOWN_S = 1.0

log = structlog.get_logger()


async def serve(settings: ProcessorSettings) -> None:
    """Serve until a signal. Raises `OSError` where a port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sandbox = Sandbox(settings)
    runner = web.AppRunner(control(sandbox), access_log=None, shutdown_timeout=SHUTDOWN_S)
    try:
        await sandbox.open()
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port("sandbox")).start()
        log.info("sandbox.ready", control=settings.url("sandbox"))
        await stop.wait()
    finally:
        await runner.cleanup()
        sandbox.close()


def main() -> int:
    """The exit code: 1 where a setting or a port in use keeps it from starting; the log has the reason."""
    logs.configure("sandbox")
    try:
        settings = load(ProcessorSettings)
        settings.refuse_production("the sandbox")
        keep_private(settings.data)
        asyncio.run(serve(settings))
    except (BadSetting, OSError) as error:
        log.error("sandbox.refused", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
