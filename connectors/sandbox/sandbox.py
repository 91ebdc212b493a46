"""The sandbox as a whole: three vendors' ports on one SQLite file, and the faults set for them."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import structlog

from connectors.durable_files import GroupSync
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import ledger, stored_answers
from connectors.sandbox.browsers import names_of
from connectors.sandbox.faults import Fault, Faults
from connectors.sandbox.http_shapes import Twin
from connectors.sandbox.mastercard.twin import MastercardTwin
from connectors.sandbox.paypal.ledger_rules import end_pending
from connectors.sandbox.paypal.twin import PayPalTwin
from connectors.sandbox.port import Port, transaction
from connectors.sandbox.visa.twin import VisaTwin
from schemas.payments import ProcessorName

REOPEN_EVERY_S = 1.0
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")


log = structlog.get_logger()


class PortsTaken(Exception):
    """Another program listens on `ports` of ours, which a fault had closed."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(f"in use by another program: {', '.join(map(str, ports))}")
        self.ports = ports


class Sandbox:
    """Create it inside a running event loop."""

    def __init__(self, settings: ProcessorSettings) -> None:
        path = settings.data / "sandbox.sqlite3"
        addresses = (settings.visa_url, settings.mastercard_url, settings.paypal_url, settings.host)
        self.names = names_of(*addresses)  # by which it is reached
        self._conn: sqlite3.Connection = open_database(path)
        self._disk = GroupSync(path.with_name(f"{path.name}-wal"))
        self._faults = Faults()
        self._timers: set[asyncio.Task[None]] = set()
        twins = (
            VisaTwin(self._conn, settings),
            MastercardTwin(self._conn, settings),
            PayPalTwin(self._conn, settings),
        )
        self._twins: dict[ProcessorName, Twin] = {twin.name: twin for twin in twins}
        self._ports: dict[ProcessorName, Port] = {
            twin.name: Port(
                settings.host, settings.port(twin.name), twin, self._conn, self._disk, self._faults, self.names
            )
            for twin in twins
        }

    async def open(self) -> None:
        """Open all vendors' ports. Raises `OSError` where one is taken."""
        for port in self._ports.values():
            await port.open()

    def close(self) -> None:
        """Close ports and database; everything that was answered is on disk."""
        for timer in self._timers:
            timer.cancel()
        for port in self._ports.values():
            port.close()
        self._disk.close()
        self._conn.close()

    def rows_after(self, id: int, limit: int) -> list[ledger.LedgerRow]:
        """Rows of the ledger, oldest first."""
        return ledger.rows_after(self._conn, id, limit)

    async def end_pending(self, *, completed: bool) -> int:
        """Decide what PayPal has left pending; how many captures and refunds that were."""
        with transaction(self._conn):
            count = end_pending(self._conn, completed=completed)
        await self._disk.synced()
        return count

    def accept(self, processor: ProcessorName, secrets: Sequence[str]) -> None:
        """Have a twin take these secrets and no others, until it restarts: then those of its settings."""
        self._twins[processor].accept(secrets)

    def faults(self) -> list[Fault]:
        """The faults in force."""
        return self._faults.all()

    def order(self, fault: Fault) -> None:
        """Put a fault in force; `refuse` closes the port at once."""
        self._faults.add(fault)
        if fault.fault == "refuse":
            self._ports[fault.processor].close()
            if fault.seconds is not None:
                timer = asyncio.create_task(self._end(fault, fault.seconds), name="refuse")
                self._timers.add(timer)
                timer.add_done_callback(self._timers.discard)

    async def clear(self) -> None:
        """End all faults: closed ports open, held connections are dropped, slow calls are applied at once.

        Raises `PortsTaken` once all that are free are open.
        """
        for timer in self._timers:
            timer.cancel()
        self._faults.clear()
        if taken := [port.number for port in self._ports.values() if not await _opened(port)]:
            raise PortsTaken(taken)

    async def _end(self, fault: Fault, seconds: float) -> None:
        """End the fault after its time, and open its port; where another program has it, once that is gone."""
        await asyncio.sleep(seconds)
        self._faults.remove(fault)
        port = self._ports[fault.processor]
        while not self._refuses(fault.processor) and not await _opened(port):  # noqa: ASYNC110 - others' port
            await asyncio.sleep(REOPEN_EVERY_S)

    def _refuses(self, processor: ProcessorName) -> bool:
        return any(other.fault == "refuse" and other.processor == processor for other in self._faults.all())


async def _opened(port: Port) -> bool:
    """Whether the port could be opened, or was; else it is logged."""
    try:
        await port.open()
    except OSError as error:
        log.error("port.taken", port=port.number, reason=str(error))
        return False
    return True


def open_database(path: Path) -> sqlite3.Connection:
    """The connection to the SQLite file, created with its tables where it does not exist.

    With `synchronous=NORMAL` a commit is on disk once the write-ahead log is synced: SQLite's own fsync would stop
    the event loop.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    conn = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        conn.execute(f"PRAGMA {pragma}")
    conn.executescript(ledger.TABLE + stored_answers.TABLE)
    return conn
