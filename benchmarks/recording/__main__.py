"""`python -m benchmarks.recording`: record a stack's topics into `examples/stream/`; takes two minutes.

A stack of its own lives through `scenes`. Then one record that nobody can read is written, and some records of
payments once more, as a gateway does that died before it noted what Kafka had acknowledged. Everything readable is
kept: `records.jsonl.gz`, in the order of Kafka's times. At last the consumers of `examples/` read the same topics,
and the command ends with 1 where their figures are not those of the warehouse.
"""

import asyncio
import gzip
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import click
import msgspec
import structlog

from benchmarks import stack
from benchmarks.canary.looks import all_records
from benchmarks.recording.proof import agreement
from benchmarks.recording.scenes import Scenes, leave
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from connectors.kafka import producer
from connectors.kafka_login import Bootstrap
from connectors.records import Place, Record, out, read
from schemas.events import Event, new_event
from schemas.fraud import ListEntry
from schemas.release import StoredRecord
from schemas.samples import SAMPLES
from schemas.times import now
from schemas.topics import CONTROLS, NOTIFICATIONS, PAYMENTS, TOPICS
from sluice.shoppers.people import Shopper
from sluice.shoppers.staff import Staff

STREAM = Path("examples/stream/records.jsonl.gz")
SETTINGS = {"SLUICE_PROXIES": "127.0.0.1,::1", "SLUICE_REVIEW_MAX": "20"}
STAFF = ("admin", "analyst")
NAMES = ("ada", "bo", "cleo", "dan", "eve", "leaver", "thief")
REPEATED_EVERY = 40
ENTRY = ListEntry("list_recorded", "block", "instrument", "ins_recorded", "reported stolen", None, now())
QUIET_S, QUIET_WITHIN_S = 8.0, 180.0


@click.command()
@click.option("--out", "file", type=click.Path(path_type=Path), default=STREAM, help="The file that is written.")
@click.option("--purchases", default=120, help="How many plain ones there are among the payments.")
def main(file: Path, purchases: int) -> None:
    """Record a stack that lives for a minute or two."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with stack.running(settings=SETTINGS) as recorded:
        recorded.await_ready()
        asyncio.run(_live(recorded, purchases))
        bootstrap = recorded.kafka()
        _await_quiet(bootstrap)
        _write_by_hand(bootstrap, everything(bootstrap))
        _await_quiet(bootstrap)
        records = [record for record in everything(bootstrap) if _is_readable(record)]
        compared = agreement(recorded.settings)
    lines = [stored(record) for record in in_order(records)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(msgspec.json.Encoder().encode_lines(lines), mtime=0))
    kinds = {line.headers.get("ce_type", "tombstone") for line in lines}
    click.echo(f"{len(lines)} records, {len(kinds)} kinds, {file.stat().st_size // 1024} KiB in {file}")
    click.echo(f"not among them: {sorted(SAMPLES.keys() - kinds)}")
    for figures in compared:
        click.echo(msgspec.json.encode(figures))
    sys.exit(not all(figures.equal for figures in compared))


async def _live(recorded: stack.Stack, purchases: int) -> None:
    url, catcher = recorded.settings.url("gateway"), recorded.settings.url("catcher")
    async with AsyncExitStack() as opened:
        admin, analyst = [
            await opened.enter_async_context(GatewayClient(url, login, retry_for_s=RETRY_FOR_S))
            for login in (PasswordLogin(f"{name}@example.com", recorded.replay.seed_password) for name in STAFF)
        ]
        emails = [f"{name}.recorded@example.com" for name in NAMES]
        everybody = [await opened.enter_async_context(Shopper(url, catcher, email)) for email in emails]
        *shoppers, thief = everybody
        await Scenes(shoppers, thief, Staff(admin, analyst), admin, analyst).play(purchases)
        await leave(url, emails[-2])


def _write_by_hand(bootstrap: Bootstrap, records: list[Record]) -> None:
    """A list entry and its end, a record nobody can read, and repeats."""
    writer = producer(bootstrap)
    entry = out(CONTROLS.name, ENTRY.id, new_event("control.list_entry", "/recorded", ENTRY.id, ENTRY, now()))
    writer.produce(entry.topic, entry.value, entry.key, headers=entry.headers)
    writer.produce(CONTROLS.name, None, entry.key)
    writer.produce(NOTIFICATIONS.name, b"{unfinished", b"pay_1", headers=[("ce_type", b"notification.recorded")])
    payments = [record for record in records if record.topic == PAYMENTS.name]
    for record in payments[::REPEATED_EVERY]:
        writer.produce(record.topic, record.value, record.key, headers=record.headers)
    assert writer.flush(30) == 0


def _await_quiet(bootstrap: Bootstrap) -> None:
    """Wait until no topic has grown for a while. Raises `TimeoutError`."""
    until, since, before = time.monotonic() + QUIET_WITHIN_S, time.monotonic(), -1
    while time.monotonic() - since < QUIET_S:
        if time.monotonic() > until:
            raise TimeoutError("the topics go on growing")
        if (written := len(everything(bootstrap))) != before:
            since, before = time.monotonic(), written
        time.sleep(1)


def everything(bootstrap: Bootstrap) -> list[Record]:
    """Every record of every topic, in the order of its partition. Raises `KafkaException`."""
    return list(all_records(bootstrap, [topic.name for topic in TOPICS]))


def in_order(records: list[Record]) -> list[Record]:
    """By Kafka's time, and within a partition by offset: producers' clocks may go back there."""
    newest: dict[Place, int] = {}
    moments = []
    for record in records:
        place = record.topic, record.partition
        newest[place] = max(newest.get(place, 0), record.timestamp_ms)
        moments.append(newest[place])
    return [records[n] for n in sorted(range(len(records)), key=moments.__getitem__)]


def _is_readable(record: Record) -> bool:
    return isinstance(read(record, "/recorded"), Event)


def stored(record: Record) -> StoredRecord:
    """A record of ours as a line of the stream: its texts are UTF-8."""
    key = record.key.decode() if record.key is not None else None
    headers = {name: content.decode() for name, content in record.headers if isinstance(content, bytes)}
    value = record.value.decode() if record.value is not None else None
    return StoredRecord(record.topic, record.partition, record.offset, record.timestamp_ms, key, headers, value)


if __name__ == "__main__":
    main()
