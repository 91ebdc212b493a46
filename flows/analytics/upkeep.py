"""What keeps a warehouse from growing for ever, between two batches: what goes, and when to exchange the file."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta

import duckdb
import structlog

from flows.analytics import compaction, minutes, retention, versions
from flows.analytics.own_process import RESTART
from flows.analytics.settings import WarehouseFile
from flows.analytics.writer import transaction
from schemas.times import now

LOOK_EVERY_S = 60.0  # at what is to be pruned, once nothing is left; until then, with each call
MINUTE_S = 60.0
UP_BEFORE_S = 3600.0  # one that just started has compacted its file, or could not

log = structlog.get_logger()


def restart(why: str) -> None:
    """End the process, between two commits; the supervisor starts it again at once."""
    log.info("warehouse.restarted", why=why)
    os._exit(RESTART)


class NightlyExport:
    """Starts the export once in the hour of the night, as a process of its own."""

    def __init__(self, night: int) -> None:
        self._night = night
        self._tried: date | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, moment: datetime) -> None:
        """Start it where it is time."""
        if moment.hour == self._night and self._tried != moment.date():
            self._tried = moment.date()
            self._process = subprocess.Popen([sys.executable, "-m", "flows.analytics.export"])

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process is not None and self._process.poll() is None


class Upkeep:
    """Looks after one open file, in the thread that writes it, between two batches.

    `pruned`: what retention took away. `since` (UTC): of what was replaced by then no version is kept.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        file: WarehouseFile,
        exporting: NightlyExport | None = None,
        restart: Callable[[str], None] = restart,
    ) -> None:
        """`con`: a connection to `file`. `exporting`: who exports it by night."""
        self._con, self._file, self._exporting, self._restart = con, file, exporting, restart
        self._began = time.monotonic()
        self._next_look = 0.0
        self._touched: set[str] = set()  # the tables that lost rows since the last word about it
        self._next_minute = 0.0
        self.pruned = retention.pruned_before(con)
        self.since = versions.history_begin(con)

    def before_batch(self) -> None:
        """Once a minute add up what batches noted, and drop versions that are too old for `payments_as_of`."""
        if time.monotonic() < self._next_minute:
            return
        self.since = max(self.since, now() - timedelta(hours=self._file.history_h))
        with transaction(self._con):
            minutes.fold(self._con)
            versions.prune_versions(self._con, self.since)
        self._next_minute = time.monotonic() + MINUTE_S

    def look(self) -> None:
        """Prune a little, export by night, and restart where another file waits or this one is to be compacted.

        Called about once a second.
        """
        moment = now()
        if self._exporting:
            self._exporting.look(moment)
        if self._file.days is not None and time.monotonic() >= self._next_look:
            self._prune(timedelta(days=self._file.days))
        if compaction.beside(self._file.path, "rebuilt").exists():
            self._restart("rebuilt")
        if self._is_time_to_compact(moment) and compaction.is_worthwhile(self._con):
            self._restart("compaction")

    def _prune(self, age: timedelta) -> None:
        """One chunk of the first table that has any; the next look is in a while where none has."""
        present = retention.present(self._con)
        if present and any(self._chunk(table, present - age) for table in retention.PRUNED):
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        if present and self._touched:
            log.info("rows.pruned", tables=sorted(self._touched), before=(present - age).isoformat())
            self._touched.clear()

    def _chunk(self, table: retention.PrunedTable, cutoff: datetime) -> bool:
        with transaction(self._con):
            before = retention.prune(self._con, table, cutoff)
        if before is None:
            return False
        self.pruned[table.name] = max(before, self.pruned.get(table.name, before))
        self._touched.add(table.name)
        return True

    def _is_time_to_compact(self, moment: datetime) -> bool:
        if moment.hour != self._file.night or (self._exporting and self._exporting.runs()):
            return False
        return time.monotonic() - self._began > UP_BEFORE_S
