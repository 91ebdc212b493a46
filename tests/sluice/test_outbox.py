"""`sluice outbox resend`: what Kafka had and lost is sent again, once more and in order."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.json import decode
from msgspec.structs import replace
from sqlalchemy import Connection

from connectors.kafka import producer
from connectors.kafka_login import login
from connectors.record_reader import RecordReader
from gateway.books.controls import add_rules, keep_controls
from gateway.books.opening import migrate, run_once
from gateway.books.outbox import list_history, outbox
from schemas.controls import DEFAULTS
from schemas.events import Tombstone
from schemas.rules import FraudRule
from schemas.times import from_micros, now
from schemas.topics import PAYMENTS
from sluice import outbox as command
from sluice.broker_secrets import broker_secrets
from sluice.cli import main
from sluice.own_kafka import own_broker
from sluice.settings import StackSettings
from tests.brokers import is_set_up, running
from tests.patience import until

SECOND_US = 1_000_000
BEGAN = 1_795_000_000 * SECOND_US


def rows(conn: Connection, topic: str, count: int) -> None:
    """An event per second; the last one is not published yet."""
    for number in range(count):
        published = None if number == count - 1 else 1
        value = {
            "event_id": f"evt_{number}",
            "topic": topic,
            "key": "key",
            "type": "payment.captured",
            "subject_id": "pay",
            "sequence": number,
            "value": b"%d" % number,
            "recorded_at": BEGAN + number * SECOND_US,
            "published_at": published,
        }
        conn.execute(outbox.insert().values(**value))


def read_all(kafka: str, topic: str, count: int) -> list[tuple[bytes | None, str]]:
    reader, found = RecordReader(kafka), list[tuple[bytes | None, str]]()
    reader.add((topic, 0))

    def has_all() -> bool:
        for record in reader.poll():
            found.append((record.value, dict(record.headers)["ce_id"].decode()))  # type: ignore[union-attr]
        return len(found) >= count

    until(has_all)
    reader.close()
    return found


def test_published_events_since_a_time_are_sent_again_in_order(
    kafka: str, new_topic: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PAGE", 3)
    topic, url = new_topic(), f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    run_once(url, lambda conn: rows(conn, topic, 11))
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_KAFKA": kafka}
    since = from_micros(BEGAN + 4 * SECOND_US).isoformat()
    ran = CliRunner().invoke(main, ["outbox", "resend", "--since", since], env=environment)
    assert (ran.exit_code, ran.output) == (0, "sent 6 events again\n")
    assert read_all(kafka, topic, 6) == [(b"%d" % n, f"evt_{n}") for n in range(4, 10)]
    naive = since.removesuffix("+00:00")
    assert CliRunner().invoke(main, ["outbox", "resend", "--since", naive], env=environment).exit_code == 0


def test_of_a_rule_that_was_changed_since_what_is_in_force_is_sent(tmp_path: Path) -> None:
    url, changed, left = f"sqlite:///{tmp_path / 'books.sqlite3'}", DEFAULTS[0], DEFAULTS[1]
    migrate(url)
    run_once(url, lambda conn: add_rules(conn, (changed, left), BEGAN))
    run_once(url, lambda conn: conn.execute(outbox.update().values(published_at=1)))
    changed = replace(changed, version=2, mode="off", recorded_at=now())
    run_once(url, lambda conn: keep_controls(conn, [changed]))
    sent = list(command._published_since(url, BEGAN))
    assert [decode(row.value, type=FraudRule) for row in sent] == [changed, left]
    (first,) = run_once(url, lambda conn: list_history(conn, changed.id, 0, 100))
    assert first.event_id not in [row.event_id for row in sent]


def test_of_a_rule_that_was_taken_away_nothing_is_sent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    run_once(url, lambda conn: add_rules(conn, DEFAULTS[:2], BEGAN))
    run_once(url, lambda conn: conn.execute(outbox.update().values(published_at=1)))
    run_once(url, lambda conn: keep_controls(conn, [Tombstone("controls.v1", DEFAULTS[0].id, now())]))
    assert [row.key for row in command._published_since(url, BEGAN)] == [DEFAULTS[1].id]


@pytest.mark.stack
def test_a_producer_id_that_kafka_gives_out_twice_is_in_nobodys_way(
    class_path: list[Path], free_offset: Callable[[], int], tmp_path: Path
) -> None:
    settings = StackSettings(data=tmp_path, port_offset=free_offset(), kafka_heap_mb=256, kafka_jit="c1")
    node, secrets, gateway = own_broker(settings), broker_secrets(settings), login(settings, "gateway")
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_PORT_OFFSET": str(settings.port_offset)}
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    run_once(url, lambda conn: rows(conn, PAYMENTS.name, 4))
    with running(node, class_path, secrets):
        until(lambda: is_set_up(settings))
    shutil.copytree(node.directory / "data", tmp_path / "earlier")
    with running(node, class_path, secrets):
        live = producer(gateway)  # of the gateway: its id is given out in the time that is lost
        live.produce(PAYMENTS.name, b"lost", key="key")
        assert live.flush(60) == 0
    shutil.rmtree(node.directory / "data")
    shutil.move(tmp_path / "earlier", node.directory / "data")
    with running(node, class_path, secrets):
        live.produce(PAYMENTS.name, b"live", key="key")
        assert live.flush(60) == 0
        ran = CliRunner().invoke(main, ["outbox", "resend", "--since", "2020-01-01"], env=environment)
    assert (ran.exit_code, ran.output) == (0, "sent 3 events again\n")


def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path) -> None:
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_KAFKA": "localhost:1"}
    wrong = CliRunner().invoke(main, ["outbox", "resend", "--since", "yesterday"], env=environment)
    assert "is not a time such as" in wrong.output
    away = CliRunner().invoke(main, ["outbox", "resend", "--since", "2026-11-26"], env=environment)
    assert (away.exit_code, away.output) == (1, "Error: nobody listens at localhost:1\n")
