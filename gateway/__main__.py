"""Runs the gateway: `python -m gateway`."""

import asyncio
import gc
import resource
import sys

import structlog

from connectors.kafka_login import login
from connectors.keyfiles import SecretMissing
from connectors.logs import configure
from connectors.private_files import keep_private
from connectors.processors.settings import ProcessorSettings
from connectors.settings import ChannelSettings
from connectors.traces import TRACES
from gateway.app import create_app
from gateway.books.sole import BooksTaken, books_at_hand
from gateway.identity.signing_keys import SigningKeys
from gateway.keyed_hashes import open_key
from gateway.prints import open_prints
from gateway.settings import GatewaySettings
from gateway.vault.isolation import keep_memory_private
from gateway.vault.proof import client_secret
from gateway.web.serving import serve
from schemas.settings import BadSetting, load

GC_THRESHOLD = 10_000  # new objects per collection; the default of 700 means several collections a payment


async def run(settings: GatewaySettings, processors: ProcessorSettings, channels: ChannelSettings) -> None:
    """Serve the gateway until a signal comes."""
    _check_secrets(settings)
    async with books_at_hand(settings.books_url()):
        app = create_app(settings, processors, channels)
        app.before_serving(_freeze_startup_objects)
        await serve(app, settings.host, settings.own_port(), settings.proxies)


def _check_secrets(settings: GatewaySettings) -> None:
    """Raises `SecretMissing` before anything is opened: one line says what is missing, and no traceback."""
    open_key(settings)
    open_prints(settings)
    SigningKeys(settings)
    client_secret(settings, settings.vault_client)
    login(settings, "gateway")


async def _freeze_startup_objects() -> None:
    """Exclude the objects made at start from garbage collection.

    A full collection with them took 85 ms, in which every payment waits, after each 700 payments.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _open_files_freely() -> None:
    """Take all the files that the system allows: clients whose processor hangs hold a connection each, and wait.

    Beyond the usual 1,024 no connection is accepted, of whatever processor.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    """The exit code: 1 if a setting or another gateway keeps this one from starting; the log has the reason."""
    keep_memory_private()  # card numbers and CVCs pass through it
    _open_files_freely()
    configure("gateway")
    try:
        settings = load(GatewaySettings)
        keep_private(settings.data)
        TRACES.open(settings, "gateway")
        asyncio.run(run(settings, load(ProcessorSettings), load(ChannelSettings)))
    except (BadSetting, BooksTaken, SecretMissing) as refusal:
        structlog.get_logger().error("gateway.refused", reason=str(refusal))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
