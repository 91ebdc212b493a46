"""Verdicts that nobody waits for any more, on their way into the books; what blocks a payment is acted upon there.

They wait here while the books take nothing, some thousand at most, and the others in Kafka: a full disk makes no
block forgotten. How far `risk.v1` was read is kept once nothing from before waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from connectors.lasting import LastingTask
from connectors.record_reader import Bookmarks
from gateway.books.engine import Books
from gateway.books.payments import select_payment
from gateway.books.places import keep_places, select_places
from gateway.books.verdicts import insert_late
from gateway.events.verdict_checks import judged_payment, wrong_field
from gateway.events.verdict_inbox import VerdictListener
from schemas.fraud import Verdict
from schemas.times import steady_micros
from schemas.topics import RISK

BATCH = 100  # in one transaction, which runs on the event loop
AGAIN_S = 1.0
LOOK_AGAIN_S = 2.0  # longer than a payment waits for its verdict
LOOKS_MAX = 3
WAITING_MAX = 1_000  # verdicts, from which on no more are read

log = structlog.get_logger()


class LateVerdict(msgspec.Struct, frozen=True):
    """A verdict that came too late. `met`: this process knows its payment, and that the stand-in judged it.

    `looks`: how often its payment was found unjudged, as one that another gateway still waits with.
    """

    verdict: Verdict
    met: bool
    looks: int = 0


class Sifted(msgspec.Struct, frozen=True):
    """What is to be stored of late verdicts, and the wrong field of each that cannot be believed.

    `unjudged`: those whose payment has no verdict yet.
    """

    kept: list[Verdict]
    refused: list[str]
    unjudged: list[LateVerdict]


class LateVerdicts:
    """Stores verdicts that came late, a batch at a time, for as long as the gateway runs."""

    def __init__(self, books: Books, on_refused: Callable[[str], object]) -> None:
        self._books = books
        self._on_refused = on_refused
        self._waiting: deque[LateVerdict] = deque()
        self._reached: Bookmarks = {}  # to be kept once nothing waits
        self._added = asyncio.Event()
        self._most = BATCH
        self._task = LastingTask(self._run(), "late verdicts")

    def listener(self) -> VerdictListener:
        """What a `VerdictInbox` tells of such verdicts goes to these."""
        return VerdictListener(
            on_late=lambda verdicts: self._add(LateVerdict(verdict, met=True) for verdict in verdicts),
            on_unclaimed=lambda verdicts: self._add(LateVerdict(verdict, met=False) for verdict in verdicts),
            on_refused=self._on_refused,
            kept_places=lambda: self._books.read(select_places, RISK.name),
            on_reached=self._reach,
            has_room=lambda: len(self._waiting) < WAITING_MAX,
        )

    async def close(self) -> None:
        """Store what waits, where the books take it; a gateway that starts again reads the blocks anew."""
        await self._task.stop()
        while self._waiting and await self._keep_some():
            pass

    def _add(self, late: Iterable[LateVerdict]) -> None:
        self._waiting.extend(late)
        self._added.set()

    def _reach(self, places: Bookmarks) -> None:
        self._reached = places
        self._added.set()

    async def _run(self) -> None:
        while True:
            await self._added.wait()
            self._added.clear()
            while self._waiting or self._reached:
                if not await (self._keep_some() if self._waiting else self._keep_reached()):
                    await asyncio.sleep(AGAIN_S)

    async def _keep_reached(self) -> bool:
        """Keep the place that was reached: nothing from before it waits. False where the books did not take it."""
        reached = self._reached
        try:
            await self._books.write(keep_places, reached)
        except (SQLAlchemyError, OSError) as error:
            log.warning("places.not_kept", error=type(error).__name__)
            return False
        if self._reached is reached:
            self._reached = {}
        return True

    async def _keep_some(self) -> bool:
        """Store those that wait longest; False where the books did not take them.

        Those are then tried one by one, the others first: should one never be taken, it stands in nobody's way.
        """
        some = list(islice(self._waiting, self._most))
        try:
            await self._keep(some)
        except (SQLAlchemyError, OSError) as error:
            log.warning("verdicts.not_kept", verdicts=len(self._waiting), error=type(error).__name__)
            self._waiting.rotate(-len(some))
            self._most = 1
            return False
        for _ in some:
            self._waiting.popleft()
        self._most = min(2 * self._most, BATCH)
        return True

    async def _keep(self, some: list[LateVerdict]) -> None:
        """Store what the stand-in judged; what is only looked up does not run on the event loop."""
        unmet = [late for late in some if not late.met]
        found = await self._books.browse(sift, unmet) if unmet else Sifted([], [], [])
        kept = [late.verdict for late in some if late.met] + found.kept
        if kept:
            await self._books.write(keep_late, kept)
        for late in found.unjudged:
            self._look_again(late)
        for wrong in found.refused:
            self._on_refused(wrong)

    def _look_again(self, late: LateVerdict) -> None:
        """Its payment is another gateway's, which may give up waiting and end before it hears of this verdict."""
        if late.looks < LOOKS_MAX:
            again = msgspec.structs.replace(late, looks=late.looks + 1)
            asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._add, [again])


def sift(conn: Connection, unmet: Iterable[LateVerdict]) -> Sifted:
    """Those of the verdicts whose payment the stand-in has judged: its process did not live to hear them.

    The others are of payments that were judged by them, or are not judged yet.
    """
    sifted = Sifted([], [], [])
    for late in unmet:
        verdict = late.verdict
        payment = select_payment(conn, verdict.payment)
        field = wrong_field(verdict, judged_payment(payment)) if payment else "payment"
        risk = payment.applied_risk() if payment else None
        if field is not None:
            sifted.refused.append(field)
        elif risk is None:
            sifted.unjudged.append(late)
        elif risk.source == "stand_in":
            sifted.kept.append(verdict)
    return sifted


def keep_late(conn: Connection, verdicts: Iterable[Verdict]) -> None:
    """Store verdicts that came too late beside the applied ones; those that block are due at once."""
    now = steady_micros()
    for verdict in verdicts:
        insert_late(conn, verdict, now)
