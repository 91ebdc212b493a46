"""Runs the vault, a process of its own: `python -m gateway.vault`."""

import asyncio
import signal
import sys

import structlog

from connectors import logs
from connectors.keyfiles import SecretMissing
from connectors.private_files import keep_private
from gateway.vault.cards import UnknownLayout
from gateway.vault.isolation import (
    AlreadyRunning,
    UnsafeDirectory,
    keep_memory_private,
    make_directory,
    socket_path,
    take_lock,
)
from gateway.vault.keys import KeyFiles, UnusableKey
from gateway.vault.safe import Safe
from gateway.vault.server import serve
from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting, load

REFUSALS = (BadSetting, UnusableKey, SecretMissing, UnsafeDirectory, AlreadyRunning, UnknownLayout)


async def run(settings: VaultSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises one of `REFUSALS` if the vault must not start."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    path = socket_path(settings.data, settings.vault)
    keep_private(settings.data)
    make_directory(path)
    take_lock(settings.data / "vault.lock")
    safe = Safe(settings.data / "vault.sqlite3", KeyFiles(settings))
    try:
        await serve(safe, path, stop)
    finally:
        safe.close()


def main() -> int:
    """The exit code: 1 if the vault refuses to start, with the reason in the log."""
    keep_memory_private()
    logs.configure("vault")
    try:
        asyncio.run(run(load(VaultSettings)))
    except REFUSALS as refusal:
        structlog.get_logger().error("vault.refused", reason=str(refusal))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
