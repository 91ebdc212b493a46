"""Runs the vault, a process of its own: `python -m gateway.vault`."""

import asyncio
import signal
import sys
from contextlib import closing

import structlog

from connectors import logs
from connectors.keyfiles import SecretMissing
from connectors.private_files import keep_private
from gateway.vault.audit import AuditError, opened_audit
from gateway.vault.audit_trail import AuditDamaged
from gateway.vault.cards import UnknownLayout
from gateway.vault.isolation import (
    AlreadyRunning,
    UnsafeDirectory,
    keep_memory_private,
    make_directory,
    socket_path,
    take_lock,
    users_of,
)
from gateway.vault.keys import KeyFiles, UnusableKey
from gateway.vault.person_keys import PersonKeys
from gateway.vault.proof import client_secret
from gateway.vault.rotation import Rotation
from gateway.vault.safe import FileLost, Safe
from gateway.vault.server import Served, serve
from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting, load

REFUSALS = (
    BadSetting,
    UnusableKey,
    SecretMissing,
    UnsafeDirectory,
    AlreadyRunning,
    UnknownLayout,
    FileLost,
    AuditDamaged,
    AuditError,  # the disk is full: no card is opened that no entry tells of
)


async def run(settings: VaultSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises one of `REFUSALS` if the vault must not start."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    path, users = socket_path(settings.data, settings.vault), users_of(settings.vault_users)
    keep_private(settings.data)
    make_directory(path)
    take_lock(settings.data / "vault.lock")
    secret = client_secret(settings, settings.vault_client)
    audit = opened_audit(settings.data, settings.vault_audit_days, settings.vault_opens_per_s)
    try:
        files = KeyFiles(settings)
        with (
            closing(Safe(settings.data / "vault.sqlite3", files)) as safe,
            closing(_person_keys(settings, files, safe)) as persons,
        ):
            await serve(Served(safe, persons, Rotation(safe, persons), audit, secret, users), path, stop)
    finally:
        await audit.close()


def _person_keys(settings: VaultSettings, files: KeyFiles, safe: Safe) -> PersonKeys:
    path = settings.data / "persons.sqlite3"
    safe.check_companion(path)
    persons = PersonKeys(path, files, safe.key_version, settings.vault_person_keys_per_s)
    safe.note_companion(path)  # after the file: whoever is killed in between may begin again
    return persons


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
