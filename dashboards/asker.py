"""Asking the warehouse with a limit to how long one waits."""

from concurrent.futures import Future
from threading import Thread

from connectors.warehouse import Table, WarehouseAway, WarehouseReader

PATIENCE_S = 5.0  # for one answer; a page that waits longer looks live and is not


class Asker:
    """Asks in threads, so that a warehouse that hangs (a stopped process, say) does not hang the page.

    DuckDB's own `http_timeout` does not end a question to a stopped process (tried with 2 s: it waited for 25).
    """

    def __init__(self, reader: WarehouseReader) -> None:
        self._reader = reader
        self._overdue: Future[Table] | None = None

    def query(self, sql: str) -> Table:
        """The answer, within `PATIENCE_S`. Raises `WarehouseError`; at once while an older question is overdue."""
        if self._overdue and not self._overdue.done():
            raise WarehouseAway("an older question is still open")
        asked: Future[Table] = Future()
        Thread(target=self._answer, args=(asked, sql), daemon=True).start()
        try:
            return asked.result(PATIENCE_S)
        except TimeoutError:
            self._overdue = asked
            raise WarehouseAway("no answer in time") from None

    def _answer(self, asked: Future[Table], sql: str) -> None:
        try:
            asked.set_result(self._reader.query(sql))
        except Exception as error:  # it is raised where it was asked
            asked.set_exception(error)
