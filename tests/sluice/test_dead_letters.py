"""`sluice dead-letters`: what stands where, why and how many; sent again by id or by reason, and audited."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from connectors import dead_letters
from connectors.kafka import producer
from connectors.records import Record, dead_letter, out
from gateway.books.opening import migrate, run_once
from schemas.events import new_event
from schemas.times import now
from schemas.topics import DEAD_LETTER
from sluice.cli import main
from sluice.dead_letters import LetterLine
from tests.connectors.test_dead_letters import CARD, LABEL


@pytest.fixture
def asked(
    kafka: str, new_topic: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs the command over three records: two are unreadable for one reason, and one by now is not."""
    letters, source = new_topic(2), new_topic()
    monkeypatch.setattr(dead_letters, "DEAD_LETTER", msgspec.structs.replace(DEAD_LETTER, name=letters))
    monkeypatch.setattr(dead_letters, "REPLAYABLE", frozenset({source}))
    writer, event = producer(kafka), out(source, "fp_1", new_event("label.recorded", "/t", "pay_1", LABEL, now()))
    values = [(b"{", []), (CARD.encode(), event.headers), (event.value, event.headers)]
    for number, (value, headers) in enumerate(values):
        writer.produce(source, value, b"fp_1", 0, headers=[*headers])
        record = Record(source, 0, number, b"fp_1", headers, value, 0)
        for flow in ("/flows/fraud", "/flows/analytics"):
            letter = dead_letter(record, "too new" if number == 2 else "malformed", flow)
            writer.produce(letters, letter.value, letter.key, headers=[*letter.headers])
    assert writer.flush(30) == 0
    migrate(f"sqlite:///{tmp_path / 'books.sqlite3'}")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "gateway.key").write_bytes(b"k" * 32)
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_KAFKA": kafka}
    return lambda *words: CliRunner().invoke(main, ["dead-letters", *words], env=environment)


def test_they_are_listed_by_what_where_why_and_how_many(asked: Callable[..., Result]) -> None:
    shown = asked("list").output
    assert [line.split()[0] for line in shown.splitlines()[:2]] == ["2", "1"]
    assert CARD not in shown
    lines = msgspec.json.decode(asked("list", "--json").output, type=list[LetterLine])
    assert sorted((line.offset, line.reason, line.times) for line in lines) == [
        (0, "malformed", 2),
        (1, "malformed", 2),
        (2, "too new", 2),
    ]
    assert {tuple(line.sources) for line in lines} == {("/flows/analytics", "/flows/fraud")}


def test_they_are_sent_again_by_reason_or_id_and_what_is_not_says_why(
    asked: Callable[..., Result], tmp_path: Path
) -> None:
    assert asked("replay", "--reason", "too new").output == "1 sent\n"
    malformed = asked("replay", "--reason", "malformed").output
    assert ("card number in clear" in malformed, malformed.splitlines()[-1]) == (True, "2 unreadable")
    listed = asked("list", "--reason", "too new", "--json").output
    (newest,) = msgspec.json.decode(listed, type=list[LetterLine])
    place, _, offset = newest.id.rpartition("_")
    older = f"{place}_{int(offset) - 1}"  # of the same record, by another flow
    assert asked("replay", older).output == "1 sent\n"
    assert asked("replay", newest.id, older, newest.id).output == "1 sent\n"
    assert "no dead letter dl_0_99" in asked("replay", "dl_0_99").output
    assert asked("replay").exit_code == 2
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    acts = run_once(url, lambda conn: conn.execute(text("SELECT kind FROM audit")).scalars().all())
    assert acts == ["dead_letter_replayed"] * 4


def test_without_kafka_there_is_one_clear_line(tmp_path: Path) -> None:
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_KAFKA": "localhost:1"}
    ran = CliRunner().invoke(main, ["dead-letters", "list"], env=environment)
    assert (ran.exit_code, ran.output) == (1, "Error: nobody listens at localhost:1\n")
