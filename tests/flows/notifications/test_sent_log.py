"""The memory of what was said."""

from datetime import timedelta
from pathlib import Path

import pytest

from flows.notifications import sent_log
from flows.notifications.sent_log import SentLog
from schemas.notifications import Notification
from schemas.times import now


def a_notification(message_id: str = "evt_1") -> Notification:
    return Notification(
        "pay_1", "evt_0", 4, "transaction_completed", "email", "a…@b.de", "delivered", None, message_id, now()
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notifications" / "effects.db"


def test_an_outcome_survives_the_process(path: Path) -> None:
    said, first = a_notification(), SentLog(path)
    assert first.begin("evt_1", now()) is None
    assert first.outcome("evt_1") is None
    first.record("evt_1", said)
    again = SentLog(path)  # the first one was never closed, as after a kill -9
    assert again.outcome("evt_1") == said
    first.close()
    again.close()


def test_a_second_try_learns_when_the_first_began(path: Path) -> None:
    memory, moment = SentLog(path), now()
    assert memory.begin("evt_1", moment) is None
    assert memory.begin("evt_1", moment + timedelta(minutes=1)) == moment
    memory.close()


def test_the_memory_is_bounded_and_the_oldest_goes_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_log, "KEPT", 5)
    monkeypatch.setattr(sent_log, "SWEEP_EVERY", 10)
    memory = SentLog(path)
    for number in range(20):
        memory.record(f"evt_{number}", a_notification())
    kept = [number for number in range(20) if memory.outcome(f"evt_{number}")]
    assert kept == [15, 16, 17, 18, 19]
    memory.close()


def test_the_file_is_the_flows_alone(path: Path) -> None:
    SentLog(path).close()
    assert path.parent.stat().st_mode & 0o077 == 0
