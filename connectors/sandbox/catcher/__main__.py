"""`python -m connectors.sandbox.catcher`: SMTP on port 1025, Twilio's API and the page on port 8025."""

import asyncio
import logging
import signal
import sys

import structlog
from aiohttp import web

from connectors.keyfiles import SecretMissing
from connectors.logs import configure
from connectors.private_files import keep_private
from connectors.sandbox.browsers import guard, names_of
from connectors.sandbox.catcher.inbox import Inbox, page_routes
from connectors.sandbox.catcher.settings import CatcherSettings
from connectors.sandbox.catcher.smtp import serve_smtp
from connectors.sandbox.catcher.twilio import twilio_routes
from connectors.secret_files import secret_file
from connectors.sms import TOKEN_FILE, new_token
from schemas.settings import BadSetting, load

FORM_MAX = 64 * 1024  # bytes of one HTTP request


async def serve(settings: CatcherSettings, stopped: asyncio.Event) -> None:
    """Catch until `stopped`. Raises `OSError` where a port is taken."""
    inbox = Inbox()
    token = secret_file(settings, TOKEN_FILE, new_token)
    names = names_of(settings.sms_url, settings.host)
    app = web.Application(client_max_size=FORM_MAX, middlewares=[guard(names)])
    app.add_routes([*page_routes(inbox), *twilio_routes(inbox, settings.sms_account, token)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    smtp = await serve_smtp(inbox, settings.host, settings.port("smtp"))
    try:
        await web.TCPSite(runner, settings.host, settings.port("catcher")).start()
        structlog.get_logger().info("catcher.ready", smtp=settings.port("smtp"), http=settings.port("catcher"))
        await stopped.wait()
    finally:
        smtp.close()
        await runner.cleanup()


async def catch() -> None:
    """Serve until SIGINT or SIGTERM. Raises `BadSetting`, `SecretMissing`, and `OSError` where a port is taken."""
    stopped = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    settings = load(CatcherSettings)
    settings.refuse_production("the catcher")
    keep_private(settings.data)
    await serve(settings, stopped)


def main() -> int:
    """The exit code: 1 where a setting or a port in use keeps it from starting; the log has the reason."""
    configure("catcher")
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's: it logs every address
    try:
        asyncio.run(catch())
    except (BadSetting, SecretMissing, OSError) as error:
        structlog.get_logger().error("catcher.refused", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
