"""What the vault that serves answers, and when: only what the other one has, or once the witness names nobody."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.vault import frames, office, replica
from gateway.vault.audit import opened_audit
from gateway.vault.copy_frames import COPIES, CopyBegun, CopyLines, CopyRows, CopyWhole, RowChange
from gateway.vault.office import Office
from gateway.vault.replica import Replica
from gateway.vault.standing import Standing, standing_of
from gateway.vault.witness import SqliteWitness, WitnessRow
from tests import patience

ROW = WitnessRow("store_a", "a", "run_a", "", 3)
CHANGES = [RowChange("cards", "card_a", None)]


class Relieved(BaseException):
    """In place of the end of the process."""


class Link:
    """The connection of a vault that stands by, which confirms what it gets unless told not to."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.confirms = True
        self.standby: replica.Standby
        self._splitter = frames.Splitter(COPIES)

    def send(self, content: bytes) -> None:
        """As `CopyLink`."""
        for frame in self._splitter.feed(content):
            self.frames.append(frame)
            if self.confirms:
                asyncio.get_running_loop().call_soon(self.confirm, frame.id)

    def confirm(self, frame_id: int) -> None:
        """Say that it has a frame."""
        self.standby.confirm(frame_id)

    def abort(self) -> None:
        """As `CopyLink`."""


class Served:
    """A vault `a` that serves, with `b` standing by."""

    def __init__(self, folder: Path) -> None:
        self.witness = SqliteWitness(folder / "witness.sqlite3")
        self.office = Office(self.witness, ROW, folder)
        self.replica = Replica(self.office)
        self.audit = self.replica.audit = opened_audit(folder, 400, 1000, self.replica.send_lines)
        self.link = Link()

    async def join(self) -> "Served":
        """Have `b` join."""
        await self.witness.begin(ROW)
        await self.audit.note("vault.start")
        self.link.standby = self.replica.follow(frames.Follow(1, "b", "store_a", []), self.link)
        await patience.eventually(lambda: self.office.row.standby == "b")
        return self


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """One that serves, where one that is relieved raises."""

    def relieved(_found: object) -> None:
        raise Relieved

    monkeypatch.setattr(office, "relieved", relieved)
    monkeypatch.setattr(replica, "CONFIRMED_WITHIN_S", 0.2)
    made = await Served(tmp_path).join()
    yield made
    await made.audit.close()


async def test_a_copy_is_whole_before_the_witness_names_it(served: Served, tmp_path: Path) -> None:
    kinds = [type(frame) for frame in served.link.frames]
    assert kinds[0] is CopyBegun
    assert kinds[-1] is CopyWhole
    assert kinds.count(CopyLines) == 1, "the entries of before and that of the join"
    assert served.link.frames[-1].term == served.office.row.term == 4
    await patience.eventually(lambda: standing_of(tmp_path) == Standing("store_a", 4, "a"))
    assert (await served.witness.read()) == served.office.row


async def test_nothing_is_answered_before_the_other_one_has_it(served: Served) -> None:
    served.link.confirms = False
    sending = asyncio.create_task(served.replica.send_rows("cards", CHANGES))
    await patience.eventually(lambda: isinstance(served.link.frames[-1], CopyRows))
    await asyncio.sleep(0)
    assert not sending.done()
    served.link.confirm(served.link.frames[-1].id)
    await sending
    assert served.office.row.standby == "b"


async def test_where_the_other_one_is_silent_the_witness_knows_before_the_answer(served: Served) -> None:
    served.link.confirms = False
    noting = [asyncio.create_task(served.audit.note("card.open")) for _ in range(3)]
    await asyncio.gather(*noting, served.replica.send_rows("cards", CHANGES))
    found = await served.witness.read()
    assert found is not None
    assert (found.standby, found.term) == ("", 5)
    assert served.link.standby.is_lost


async def test_once_the_other_one_took_over_nothing_is_answered_any_more(served: Served) -> None:
    served.link.confirms = False
    row = served.office.row
    assert await served.witness.change(row.term, WitnessRow("store_a", "b", "run_b", "", row.term + 1))
    with pytest.raises(Relieved):
        await served.replica.send_rows("cards", CHANGES)
