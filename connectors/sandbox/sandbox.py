"""The sandbox as a whole: three vendors' ports on one database, and the faults ordered for them."""

import asyncio
import sqlite3

from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import ledger
from connectors.sandbox.database import open_database
from connectors.sandbox.faults import Fault, Faults
from connectors.sandbox.mastercard import Mastercard
from connectors.sandbox.paypal import PayPal
from connectors.sandbox.port import Port
from connectors.sandbox.visa import Visa
from schemas.payments import ProcessorName


class Sandbox:
    """Make it inside a running event loop."""

    def __init__(self, settings: ProcessorSettings) -> None:
        self._conn: sqlite3.Connection = open_database(settings.data / "sandbox.sqlite3")
        self._faults = Faults()
        self._timers: set[asyncio.Task[None]] = set()
        twins = (Visa(self._conn, settings), Mastercard(self._conn, settings), PayPal(self._conn, settings))
        self._ports: dict[ProcessorName, Port] = {
            twin.name: Port(settings.port(twin.name), twin, self._conn, self._faults) for twin in twins
        }

    async def open(self) -> None:
        """Open all vendors' ports. Raises `OSError` where one is taken."""
        for port in self._ports.values():
            await port.open()

    def close(self) -> None:
        """Close ports and database; what was answered is on file."""
        for timer in self._timers:
            timer.cancel()
        for port in self._ports.values():
            port.close()
        self._conn.close()

    def rows_after(self, id: int, limit: int) -> list[ledger.Row]:
        """Rows of the ledger, oldest first."""
        return ledger.rows_after(self._conn, id, limit)

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
        """End all faults: closed ports open, held connections are dropped, slow calls are applied now."""
        for timer in self._timers:
            timer.cancel()
        self._faults.clear()
        await self.open()

    async def _end(self, fault: Fault, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._faults.remove(fault)
        others = (other for other in self._faults.all() if other.fault == "refuse")
        if all(other.processor != fault.processor for other in others):
            await self._ports[fault.processor].open()
