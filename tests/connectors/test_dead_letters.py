"""Dead letters on a real broker: listed from the newest on, and their records sent again."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from confluent_kafka import TopicPartition

from connectors import dead_letters
from connectors.dead_letters import DeadLetters, FoundLetter, KafkaAway, Replayed
from connectors.kafka import consumer, producer
from connectors.records import Out, Record, dead_letter, out
from schemas.events import Event, Headers, decode, headers_of, new_event
from schemas.fraud import Label
from schemas.times import now
from schemas.topics import DEAD_LETTER

CARD = "4111111111111111"
LABEL = Label("pay_1", "fp_1", "acc_1", "good", "test", 100, "EUR", None, None, "m", now(), now())


@pytest.fixture
def topics(new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A topic of dead letters, and one that they are about."""
    letters, source = new_topic(3), new_topic(2)
    monkeypatch.setattr(dead_letters, "DEAD_LETTER", msgspec.structs.replace(DEAD_LETTER, name=letters))
    monkeypatch.setattr(dead_letters, "REPLAYABLE", frozenset({source}))
    return letters, source


class Desk:
    """Writes records and letters, and reads what was sent."""

    def __init__(self, kafka: str, letters: str, source: str) -> None:
        self.source, self._kafka, self._letters = source, kafka, letters
        self._producer = producer(kafka)
        self.reader = DeadLetters(kafka, lambda topic: kafka)

    def put(self, value: bytes, headers: Headers, key: bytes = b"fp_1") -> Record:
        """Write a record; as it stands there."""
        offset = len(self.sent())
        self._producer.produce(self.source, value, key, 1, headers=headers)  # type: ignore[arg-type]
        assert self._producer.flush(30) == 0
        return Record(self.source, 1, offset, key, headers, value, 0)

    def put_event(self, key: bytes = b"fp_1") -> Record:
        event = new_event("label.recorded", "/test", "pay_1", LABEL, now())
        written = out(self.source, "fp_1", event)
        return self.put(written.value, written.headers, key)

    def set_aside(self, record: Record, reason: str = "malformed", at_ms: int = 0, partition: int = 0) -> None:
        self.post(dead_letter(record, reason, "/flows/test"), at_ms, partition)

    def post(self, letter: Out, at_ms: int = 0, partition: int = 0) -> None:
        headers = [*letter.headers]
        stamp = {"timestamp": at_ms} if at_ms else {}
        self._producer.produce(self._letters, letter.value, letter.key, partition, headers=headers, **stamp)  # type: ignore[arg-type]
        assert self._producer.flush(30) == 0

    def letters(self) -> list[FoundLetter]:
        return list(self.reader.every())

    def replay(self) -> Replayed:
        """Replay the newest letter there is."""
        return self.reader.replay(self.letters()[-1])

    def sent(self) -> list[Event | None]:
        """What stands on the topic, in its order; None where it is no event."""
        client, place = consumer(self._kafka), TopicPartition(self.source, 1, 0)
        _, end = client.get_watermark_offsets(place, timeout=30)
        client.assign([place])
        messages = client.consume(end, 30) if end else []
        client.close()
        return [self._event(m.headers(), m.value()) for m in messages]

    @staticmethod
    def _event(headers: object, value: bytes | None) -> Event | None:
        try:
            return decode(headers, value)  # type: ignore[arg-type]
        except ValueError:
            return None


@pytest.fixture
def desk(kafka: str, topics: tuple[str, str]) -> Iterator[Desk]:
    made = Desk(kafka, *topics)
    with made.reader:
        yield made


def test_pages_go_from_the_newest_on_over_all_partitions_and_leave_nothing_out(desk: Desk) -> None:
    assert desk.reader.page({}, 2) == ([], {})
    for number in range(9):
        at = Record(desk.source, 1, number, b"k", [], b"?", 0)
        desk.set_aside(at, at_ms=1_000_000 + number, partition=number % 2 if number < 7 else 2)
    seen, before = list[int](), dict[int, int]()
    for _ in range(10):
        found, bounds = desk.reader.page(before, 2)
        before = dict(bounds)
        seen += [letter.offset for letter in found]
        assert len(found) <= 2
        if not before:
            break
    assert seen == list(range(8, -1, -1))
    assert before == {}


def test_a_record_that_is_readable_by_now_is_sent_again_as_it_was_however_often(desk: Desk) -> None:
    record = desk.put_event()
    desk.set_aside(record)
    assert desk.replay() == desk.replay() == Replayed("sent")
    first, *again = desk.sent()
    assert first is not None
    assert [event and (event.id, event.data) for event in again] == [(first.id, first.data)] * 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"{", "malformed DecodeError"), (CARD.encode(), "card number in clear"), (b"", "malformed DecodeError")],
)
def test_what_is_still_unreadable_is_not_sent_and_says_why(desk: Desk, value: bytes, reason: str) -> None:
    headers = headers_of("evt_1", "label.recorded", "/test", "pay_1", now(), None)
    desk.set_aside(desk.put(value, headers), "something else")
    assert desk.replay() == Replayed("unreadable", reason)
    assert len(desk.sent()) == 1


def test_what_is_gone_is_sent_from_its_letter(desk: Desk) -> None:
    lost = desk.put_event()
    desk.set_aside(msgspec.structs.replace(lost, offset=7))
    assert desk.replay() == Replayed("sent")
    first, again = desk.sent()
    assert first == again


def test_another_record_in_its_place_is_not_taken_for_it(desk: Desk) -> None:
    other = desk.put_event()
    desk.set_aside(msgspec.structs.replace(other, value=b"what stood there", headers=[]))
    assert desk.replay().outcome == "unreadable"  # what the letter kept has no headers
    letter = msgspec.structs.replace(desk.letters()[-1], data=None)
    assert desk.reader.replay(letter).outcome == "unreadable"
    assert len(desk.sent()) == 1


def test_a_letter_that_kept_nothing_of_a_record_that_is_gone_says_so(desk: Desk) -> None:
    desk.set_aside(Record(desk.source, 1, 3, b"k", [], None, 0), "no value")
    assert desk.replay() == Replayed("gone")


def test_where_a_topic_keeps_the_last_word_an_earlier_one_is_not_said_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "WITH_TOMBSTONES", frozenset({desk.source}))
    record = desk.put_event()
    desk.put_event(b"another key")
    desk.set_aside(record)
    assert desk.replay() == Replayed("sent")
    assert desk.replay() == Replayed("superseded")  # by the one that was sent just now
    assert len(desk.sent()) == 3


def test_what_was_compacted_away_does_not_come_back_from_its_letter(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tombstone took it away, as of a rule, and is gone by now too: no later word on its key is left."""
    monkeypatch.setattr(dead_letters, "WITH_TOMBSTONES", frozenset({desk.source}))
    removed = desk.put_event(b"removed")
    desk.set_aside(msgspec.structs.replace(removed, value=b"%b " % removed.value))  # it stands there no more
    assert desk.replay() == Replayed("superseded")
    assert len(desk.sent()) == 1
    desk.set_aside(msgspec.structs.replace(removed, offset=7))
    assert desk.replay() == Replayed("sent"), "the log lost its end: that is no compaction"


@pytest.mark.parametrize("topic", ["__consumer_offsets", "dead_letter.v1", "nobodys"])
def test_nobodys_letter_makes_us_send_to_a_topic_of_others(desk: Desk, topic: str) -> None:
    desk.set_aside(Record(topic, 0, 0, b"k", [], b"?", 0))
    assert desk.replay().outcome == "unreadable"


def test_a_letter_of_somebody_else_shows_no_number_and_breaks_nothing(desk: Desk) -> None:
    written = dead_letter(Record(desk.source, 1, 0, b"k", [], b"x", 0), f"of {CARD}\x1b[2J\n", "/flows/test")
    for forged in (
        written.value.replace(b'"eA=="', b'"?"'),
        b"{",
        written.value.replace(b'"offset":0', b'"offset":-1'),
    ):
        desk.post(Out(written.topic, written.key, written.headers, forged))
    letters = desk.letters()
    assert len(letters) == 3
    assert not any(CARD in repr(letter.reason) or "\x1b" in letter.reason for letter in letters)
    assert {desk.reader.replay(letter).outcome for letter in letters} <= {"gone", "unreadable"}
    assert desk.sent() == []


def test_a_letter_that_names_no_partition_of_its_topic_is_of_nothing(desk: Desk) -> None:
    lost = desk.put_event()
    for partition in (2, 2**40):
        desk.set_aside(msgspec.structs.replace(lost, partition=partition, offset=7))
        assert desk.replay() == Replayed("gone")
    assert len(desk.sent()) == 1


@pytest.mark.parametrize("letter_id", ["", "dl_0_99", "dl_9_0", "dl_x_0", "evt_1", "dl_0_-1", "dl_0_" + "9" * 19])
def test_an_id_of_no_letter_finds_none(desk: Desk, letter_id: str) -> None:
    assert desk.reader.letter(letter_id) is None


def test_a_letter_is_found_by_its_place(desk: Desk) -> None:
    desk.set_aside(desk.put(b"{", []), partition=2)
    found = desk.reader.letter("dl_2_0")
    assert found is not None
    assert found.data is not None
    assert [letter.data for letter in desk.letters()] == [None], "a list of 30 days holds no record"
    assert (found.topic, found.partition, found.offset, found.reason) == (desk.source, 1, 0, "malformed")
    assert found.source == "/flows/test"


def test_without_kafka_nothing_is_waited_for() -> None:
    with pytest.raises(KafkaAway):
        DeadLetters("localhost:1", lambda topic: None)
