"""The memory of who was told: as long as anybody can be told, and no longer."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.records import Out
from flows.notifications import sent_log
from flows.notifications.sent_log import SentLog
from schemas.times import now, to_micros

DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notifications" / "effects.db"


@pytest.fixture
def log(path: Path) -> Iterator[SentLog]:
    log = SentLog(path, DAY)
    yield log
    log.close()


def test_an_event_is_taken_in_once_by_whatever_process(path: Path) -> None:
    first = SentLog(path, DAY)
    assert [first.take_in("evt_1", now()) for _ in range(2)] == ["new", "known"]
    first.close()
    again = SentLog(path, DAY)
    assert again.take_in("evt_1", now()) == "known"
    again.close()


def test_another_process_is_refused_the_file(log: SentLog, path: Path) -> None:
    with pytest.raises(BlockingIOError):
        SentLog(path, DAY)


def test_events_are_forgotten_by_their_age_and_not_by_their_number(
    log: SentLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    young, old = now(), now() - DAY + timedelta(minutes=3)
    with log.transaction():
        log.remember((f"evt_{number}", young) for number in range(150_000))
    assert log.take_in("evt_old", old) == "new"
    monkeypatch.setattr(sent_log, "now", lambda: young + timedelta(minutes=5))
    log.forget()
    assert (log.knows("evt_0"), log.knows("evt_old")) == (True, False)
    assert log.take_in("evt_old", old) == "forgotten"


def test_a_record_is_kept_until_it_is_published(path: Path) -> None:
    first = SentLog(path, DAY)
    records = [Out("notifications.v1", b"pay_1", [("ce_id", b"evt_%d" % n)], b"{}") for n in range(3)]
    first.add_outcomes(records)
    numbered = first.outcomes(0, 2)
    assert [record for _, record in numbered] == records[:2]
    first.published(number for number, _ in numbered)
    first.close()
    again = SentLog(path, DAY)
    assert [record for _, record in again.outcomes(0, 10)] == records[2:]
    again.close()


def test_the_file_of_an_earlier_release_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE effects (number INTEGER PRIMARY KEY, id TEXT, began INTEGER, notification BLOB)")
    rows = [("evt_told", b"{}"), ("evt_begun", None)]
    db.executemany(f"INSERT INTO effects VALUES (NULL, ?, {to_micros(now())}, ?)", rows)
    db.commit()
    db.close()
    log = SentLog(path, DAY)
    assert (log.knows("evt_told"), log.knows("evt_begun")) == (True, False)
    log.close()


def test_the_file_is_the_flows_alone(log: SentLog, path: Path) -> None:
    assert path.parent.stat().st_mode & 0o077 == 0
