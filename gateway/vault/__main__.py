"""Runs the vault, a process of its own: `python -m gateway.vault`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path
from typing import TypeVar

import structlog

from connectors import logs
from connectors.keyfiles import SecretMissing
from connectors.private_files import keep_private
from gateway.vault.addresses import addresses_of, host_and_port
from gateway.vault.audit import AuditError, opened_audit
from gateway.vault.audit_trail import AuditDamaged
from gateway.vault.cards import UnknownLayout
from gateway.vault.certificates import Certificates
from gateway.vault.isolation import (
    AlreadyRunning,
    UnsafeDirectory,
    keep_memory_private,
    make_directory,
    take_lock,
    users_of,
)
from gateway.vault.keys import KeyFiles, UnusableKey
from gateway.vault.listening import TlsListener, listen_here
from gateway.vault.office import Office
from gateway.vault.person_keys import PersonKeys
from gateway.vault.proof import ClientSecret, client_secret
from gateway.vault.replica import Replica
from gateway.vault.rotation import Rotation
from gateway.vault.safe import FileLost, Safe
from gateway.vault.server import Served, VaultServer
from gateway.vault.settings import VaultSettings
from gateway.vault.standby import Failover
from gateway.vault.standing import NotInPlace, check_alone
from gateway.vault.store_copy import CARDS, PERSONS
from gateway.vault.witness import Witness, open_witness
from schemas.settings import BadSetting, load

T = TypeVar("T")

REFUSALS = (
    BadSetting,
    UnusableKey,
    SecretMissing,
    UnsafeDirectory,
    AlreadyRunning,
    UnknownLayout,
    FileLost,
    AuditDamaged,
    NotInPlace,
    AuditError,  # the disk is full: no card is opened that no entry tells of
)


log = structlog.get_logger()


async def run(settings: VaultSettings) -> None:
    """Serve until SIGTERM or SIGINT, and stand by before. Raises one of `REFUSALS` if the vault must not start."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    if settings.asks_others():
        raise BadSetting("SLUICE_VAULT of a vault is the path of its socket; see SLUICE_VAULT_LISTEN")
    path = settings.socket()
    keep_private(settings.data)
    make_directory(path)
    take_lock(settings.data / "vault.lock")
    vault_server = VaultServer(client_secret(settings, settings.vault_client), users_of(settings.vault_users))
    if not settings.vault_witness:
        check_alone(settings.data)
        await _serve(settings, vault_server, None, stop, path)
        return
    witness = open_witness(settings.vault_witness)
    try:
        async with _listening(settings, vault_server, path):  # one that stands by says so to whoever asks
            failover = _failover(settings, vault_server.secret, witness)
            office = await _until(stop, failover.office)
            if office is not None:
                await _serve(settings, vault_server, office, stop, None)
    finally:
        await witness.close()


@asynccontextmanager
async def _listening(settings: VaultSettings, vault_server: VaultServer, path: Path) -> AsyncIterator[None]:
    server = await listen_here(vault_server, path)
    over_tls = None
    if settings.vault_listen and settings.vault_certificates is not None:
        host, port = host_and_port(settings.vault_listen, "SLUICE_VAULT_LISTEN")
        over_tls = TlsListener(vault_server, host, port, Certificates(settings.vault_certificates))
        await over_tls.open()
    try:
        yield
    finally:
        server.close()
        if over_tls is not None:
            await over_tls.close()


async def _serve(
    settings: VaultSettings,
    vault_server: VaultServer,
    office: Office | None,
    stop: asyncio.Event,
    path: Path | None,
) -> None:
    """Open the stores and serve until `stop` is set. `path`: the socket to listen on, if nobody does yet."""
    replica = Replica(office) if office is not None else None
    send_lines = replica.send_lines if replica is not None else None
    audit = opened_audit(settings.data, settings.vault_audit_days, settings.vault_opens_per_s, send_lines)
    try:
        files = KeyFiles(settings)
        with (
            closing(Safe(settings.data / CARDS, files, replica)) as safe,
            closing(_person_keys(settings, files, safe, replica)) as persons,
        ):
            served = Served(safe, persons, Rotation(safe, persons), audit, replica)
            await _begin(served, office)
            async with _listening(settings, vault_server, path) if path is not None else nullcontext():
                vault_server.served = served
                log.info("vault.ready", socket=str(settings.socket()))
                await stop.wait()
            await _end(served, office, vault_server)
    finally:
        await audit.close()


async def _begin(served: Served, office: Office | None) -> None:
    if office is not None and served.replica is not None:
        served.replica.writers, served.replica.audit = (served.safe.writer, served.persons.writer), served.audit
        office.begin()
        served.replica.begin()
    detail = f"{office.row.serving}, term {office.row.term}" if office is not None else None
    await served.audit.note("vault.start", detail=detail)
    await served.rotation.resume()


async def _end(served: Served, office: Office | None, vault_server: VaultServer) -> None:
    """Finish what was asked for, and have whoever stands by know of all of it."""
    vault_server.served = None  # whoever comes now goes to the other one
    await vault_server.close()
    await served.rotation.close()
    await served.audit.note("vault.stop")
    if office is not None and served.replica is not None:
        await served.replica.close()
        await office.close()


async def _until(stop: asyncio.Event, work: Callable[[], Awaitable[T]]) -> T | None:
    """The result of `work`; None where `stop` was set first."""
    working, stopping = asyncio.ensure_future(work()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.wait([working, stopping])


def _failover(settings: VaultSettings, secret: ClientSecret, witness: Witness) -> Failover:
    [other] = addresses_of(settings.data, settings.vault_other, settings.vault_users, settings.vault_certificates)
    return Failover(settings.data, settings.vault_name, other, secret, witness, KeyFiles(settings))


def _person_keys(settings: VaultSettings, files: KeyFiles, safe: Safe, replica: Replica | None) -> PersonKeys:
    path = settings.data / PERSONS
    safe.check_companion(path)
    persons = PersonKeys(path, files, safe.key_version, settings.vault_person_keys_per_s, replica)
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
