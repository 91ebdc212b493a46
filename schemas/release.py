"""`python -m schemas.release`: keep today's contract under `schemas/golden/`, for all later ones to be held to.

A release is a folder, named by its version: the AsyncAPI document, and a record of each event type as it is on the
wire, in the form of the recorded stream in `examples/stream/`. A folder is written once and never changed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

import msgspec

from schemas.accounts import AccountChanged, AccountErased
from schemas.alerts import Alert
from schemas.compatibility import Document, breaks
from schemas.events import DeadLetter, EventData, encode, new_event
from schemas.export import FOLDER, VERSION, asyncapi
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.lists import FraudListing
from schemas.notifications import Notification
from schemas.operations import OperationEvent
from schemas.payments import LatestPayment, PaymentEvent, RefundEvent, TransactionCompleted
from schemas.reviews import ReviewEvent
from schemas.rules import FraudRule
from schemas.samples import AT, NEW, SAMPLES
from schemas.topics import TOPICS

GOLDEN = FOLDER / "golden"
# Topics that were announced to end, and did: see "How a field goes" in docs/contracts.md.
ENDED: tuple[str, ...] = ()


class StoredRecord(msgspec.Struct, frozen=True):
    """A Kafka record as a line of JSON: `headers` and `value` are UTF-8 texts, as they are on the wire.

    `timestamp_ms`: Kafka's time, milliseconds since 1970 UTC. `value` is null in a tombstone.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    headers: dict[str, str]
    value: str | None


class Release(msgspec.Struct, frozen=True):
    """A contract as it was released."""

    version: str
    document: Document
    samples: list[StoredRecord]


def releases(folder: Path = GOLDEN) -> list[Release]:
    """Every contract that was released, oldest first."""
    return [_read(path) for path in sorted(folder.iterdir(), key=lambda path: numbers(path.name))]


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, which order it: 1.10.0 comes after 1.9.0. Raises `ValueError`."""
    return tuple(int(number) for number in version.split("."))


def records() -> Iterator[StoredRecord]:
    """A record of each event type as it is written today."""
    for topic in TOPICS:
        for offset, type in enumerate(topic.events):
            key = _key(SAMPLES[type])
            headers, value = encode(new_event(type, "/sluice/sample", NEW.id, SAMPLES[type], AT, f"evt_{type}"))
            texts = {name: content.decode() for name, content in headers if isinstance(content, bytes)}
            moment_ms = int(AT.timestamp() * 1000)
            yield StoredRecord(topic.name, 0, offset, moment_ms, key, texts, value.decode())


def keep(folder: Path = GOLDEN) -> list[str]:
    """Keep today's contract as the release `VERSION`, or return why it cannot be one, a line each."""
    before = releases(folder)
    if before and numbers(VERSION) <= numbers(before[-1].version):
        return [f"{before[-1].version} is released: set VERSION in schemas/export.py to a later one"]
    broken = [line for release in before for line in breaks(release.document, asyncapi(), ENDED)]
    if not broken:
        _write(folder / VERSION)
    return broken


def _key(data: EventData) -> str:
    match data:
        case PaymentEvent() | RefundEvent() | TransactionCompleted():
            return data.payment.stream_key
        case OperationEvent() | Label():
            return NEW.stream_key
        case Rule() | FraudRule() | ListEntry() | FraudListing():
            return data.id
        case AccountChanged() | AccountErased():
            return data.account
        case Alert():
            return data.id
        case DeadLetter():
            return data.topic
        case ReviewEvent() | LatestPayment() | Verdict() | Notification():
            return NEW.id
        case _:
            assert_never(data)


def _read(folder: Path) -> Release:
    document = msgspec.json.decode((folder / "asyncapi.json").read_bytes())
    lines = (folder / "samples.jsonl").read_bytes().splitlines()
    return Release(folder.name, document, [msgspec.json.decode(line, type=StoredRecord) for line in lines])


def _write(folder: Path) -> None:
    folder.mkdir()
    document = msgspec.json.format(msgspec.json.encode(asyncapi()), indent=2)
    (folder / "asyncapi.json").write_bytes(document + b"\n")
    (folder / "samples.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(list(records())))


if __name__ == "__main__":
    sys.exit("\n".join(keep()))
