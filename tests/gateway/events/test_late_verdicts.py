"""Late verdicts wait for books that take nothing, for as long as that lasts, and stand in nobody's way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from connectors.record_reader import Bookmark, Bookmarks
from gateway.events import late_verdicts
from gateway.events.late_verdicts import (
    BATCH,
    LOOKS_MAX,
    WAITING_MAX,
    LateVerdict,
    LateVerdicts,
    Sifted,
    keep_late,
)
from schemas.fraud import Verdict
from tests.gateway.payments.conftest import verdict
from tests.patience import eventually

FULL = OperationalError("INSERT", {}, OSError("no space left"))
TRIES = 100
PLACE: Bookmarks = {("risk.v1", 0): Bookmark(7, 1_000)}


class Disk:
    """In place of the books: takes nothing while it is `full`, and never a verdict on a `poisoned` payment.

    Payments are judged once they were looked at `judged_after` times.
    """

    def __init__(self) -> None:
        self.full = False
        self.poisoned = ""
        self.judged_after = 0
        self.looks = 0
        self.tries = 0
        self.written: list[list[Verdict]] = []
        self.places: list[Bookmarks] = []

    async def write(self, keep: Callable[..., Any], told: Any) -> None:
        self.tries += 1
        await asyncio.sleep(0)
        if self.full or (keep is keep_late and self.poisoned in [verdict.payment for verdict in told]):
            raise FULL
        if keep is keep_late:
            self.written.append(told)
        else:
            self.places.append(told)

    async def browse(self, _sift: Callable[..., Any], unmet: list[LateVerdict]) -> Sifted:
        self.looks += 1
        is_judged = self.looks > self.judged_after
        return Sifted([late.verdict for late in unmet] if is_judged else [], [], [] if is_judged else unmet)

    def has(self) -> set[str]:
        """The payments whose verdicts were written."""
        return {verdict.payment for some in self.written for verdict in some}


def blocks(count: int) -> list[Verdict]:
    return [verdict(f"pay_{number}", "block") for number in range(count)]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def late(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LateVerdicts]:
    monkeypatch.setattr(late_verdicts, "AGAIN_S", 0.0)
    made = LateVerdicts(disk, lambda field: None)
    yield made
    await made.close()


async def test_a_block_of_a_payment_that_is_not_judged_yet_is_looked_at_again(
    late: LateVerdicts, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_verdicts, "LOOK_AGAIN_S", 0.0)
    disk.judged_after = 2
    late.listener().on_unclaimed(blocks(1))
    await eventually(lambda: disk.has() == {"pay_0"})
    assert disk.looks == 3


async def test_one_that_is_never_judged_is_given_up(
    late: LateVerdicts, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_verdicts, "LOOK_AGAIN_S", 0.0)
    disk.judged_after = 2 + LOOKS_MAX
    late.listener().on_unclaimed(blocks(1))
    await eventually(lambda: disk.looks == 1 + LOOKS_MAX)
    await asyncio.sleep(0)
    assert not disk.has()


@pytest.mark.parametrize("told", ["on_late", "on_unclaimed"])
async def test_a_block_is_not_forgotten_however_long_the_disk_is_full(
    late: LateVerdicts, disk: Disk, told: str
) -> None:
    disk.full = True
    getattr(late.listener(), told)(blocks(1))
    await eventually(lambda: disk.tries > TRIES)
    disk.full = False
    await eventually(lambda: disk.has() == {"pay_0"})


async def test_an_end_waits_for_no_full_disk(disk: Disk) -> None:
    disk.full, late = True, LateVerdicts(disk, lambda field: None)
    late.listener().on_late(blocks(1))
    await eventually(lambda: disk.tries)
    await asyncio.wait_for(late.close(), 5)


async def test_what_waits_at_the_end_is_stored(disk: Disk) -> None:
    late = LateVerdicts(disk, lambda field: None)
    late.listener().on_late(blocks(3 * BATCH))
    await late.close()
    assert len(disk.has()) == 3 * BATCH


async def test_a_transaction_stores_so_many(late: LateVerdicts, disk: Disk) -> None:
    late.listener().on_unclaimed(blocks(3 * BATCH))
    await eventually(lambda: len(disk.has()) == 3 * BATCH)
    assert max(map(len, disk.written)) == BATCH


async def test_one_that_is_never_taken_stands_in_nobodys_way(late: LateVerdicts, disk: Disk) -> None:
    disk.poisoned = "pay_7"
    late.listener().on_late(blocks(3 * BATCH))
    await eventually(lambda: len(disk.has()) == 3 * BATCH - 1)
    disk.poisoned = ""


async def test_while_so_many_wait_no_more_is_to_be_read(late: LateVerdicts, disk: Disk) -> None:
    disk.full, listener = True, late.listener()
    listener.on_unclaimed(blocks(WAITING_MAX - 1))
    assert listener.has_room()
    listener.on_late(blocks(1))
    assert not listener.has_room()
    disk.full = False
    await eventually(listener.has_room)


async def test_a_place_is_kept_once_nothing_from_before_waits(late: LateVerdicts, disk: Disk) -> None:
    disk.full, listener = True, late.listener()
    listener.on_late(blocks(1))
    listener.on_reached(PLACE)
    await eventually(lambda: disk.tries > TRIES)
    disk.full = False
    await eventually(lambda: disk.places)
    assert (disk.has(), disk.places) == ({"pay_0"}, [PLACE])


async def test_a_place_that_the_books_did_not_take_is_kept_later(late: LateVerdicts, disk: Disk) -> None:
    disk.full = True
    late.listener().on_reached(PLACE)
    await eventually(lambda: disk.tries > TRIES)
    disk.full = False
    await eventually(lambda: disk.places == [PLACE])
