"""The lease of this gateway among those on its books, renewed for as long as it runs (docs/decisions/0090).

On SQLite it is the only one (`sole`), and its lease never ends.
"""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from connectors.lasting import LastingTask
from gateway.books.engine import Books
from gateway.books.tables import FOR_EVER
from gateway.books.workers import WorkerRow, any_left_behind, enter, leave, renew, take_over
from gateway.policy import SECOND_US
from schemas.times import steady_micros

RENEWALS = 5  # in the time of a lease

log = structlog.get_logger()


class WorkerLease:
    """Says who this gateway is among the others, and whether they may think that it has ended.

    `on_taken_over` is called where another one took its events, as after a freeze: it publishes them, and this one
    forgets what it had in hand. `on_replaced` is called where another process has this one's name.
    """

    def __init__(
        self, books: Books, worker_id: str, name: str, lease_us: int | None, on_replaced: Callable[[], object]
    ) -> None:
        """`lease_us`: null for the only gateway on its books."""
        self.id = worker_id
        self.on_taken_over: Callable[[], object] = lambda: None
        self._books, self._name, self._lease_us, self._on_replaced = books, name, lease_us, on_replaced
        self._unbroken_since = self._until = 0
        self._taken_over = 0
        self._task: LastingTask | None = None

    async def open(self) -> None:
        """Take the lease; what is written from now on is this worker's."""
        now = self._unbroken_since = steady_micros()
        self._until = FOR_EVER if self._lease_us is None else now + self._lease_us
        await self._books.write(enter, WorkerRow(self.id, self._name, self._until), now)
        self._books.worker_id = self.id
        if self._lease_us is not None:
            self._task = LastingTask(self._keep(self._lease_us), "lease of this worker", returns=True)

    async def close(self) -> None:
        """Let go of it, last of all: the others take over at once what the relay has not sent."""
        if self._task is not None:
            await self._task.stop()
        try:
            await self._books.write(leave, self.id)
        except SQLAlchemyError as error:  # the others wait for its end then
            log.warning("worker.not_left", error=type(error).__name__)

    def is_live(self) -> bool:
        """False where the others may think that this gateway has ended."""
        return steady_micros() < self._until

    async def any_left_behind(self) -> bool:
        """Whether there are events on their way that nobody takes care of."""
        now = steady_micros()
        return await self._books.read(any_left_behind, self.id, now, self._may_judge(now))

    async def take_over(self) -> None:
        """Make these this worker's."""
        now = steady_micros()
        gone = await self._books.write(take_over, self.id, now, self._may_judge(now))
        log.info("events.taken_over", workers=list(gone))

    def _may_judge(self, now: int) -> bool:
        """Whether a lease that ran out tells that its worker is gone.

        Where the books were away, every lease ran out: each worker has the time to come back.
        """
        return self._lease_us is None or now - self._unbroken_since >= self._lease_us

    async def _keep(self, lease_us: int) -> None:
        while True:
            await asyncio.sleep(lease_us / SECOND_US / RENEWALS)
            now = steady_micros()
            try:
                taken_over = await self._books.write(renew, self.id, now + lease_us)
            except SQLAlchemyError as error:
                self._unbroken_since = steady_micros()  # others may have been away as well
                log.warning("worker.not_renewed", error=type(error).__name__)
                continue
            if taken_over is None:
                self._until = 0
                log.error("worker.replaced", name=self._name)
                self._on_replaced()
                return
            self._note(now + lease_us, taken_over)

    def _note(self, until: int, taken_over: int) -> None:
        now = steady_micros()
        if now >= self._until:
            self._unbroken_since = now
            log.warning("worker.lapsed", seconds=round((now - self._until) / SECOND_US, 1))
        self._until = until
        if taken_over != self._taken_over:
            self._taken_over = taken_over
            self.on_taken_over()
