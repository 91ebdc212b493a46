"""`sluice outbox resend`: sends events again that Kafka acknowledged and then lost."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import click
import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from sqlalchemy import Connection, bindparam, select

from connectors.kafka import producer
from connectors.kafka_login import Bootstrap
from gateway.books.controls import ToldSetting, select_settings
from gateway.books.opening import run_once
from gateway.books.outbox import OutboxRow, outbox
from gateway.books.sql import Statement
from gateway.events.outbox_relay import row_headers
from gateway.settings import GatewaySettings
from schemas.events import derived_id
from schemas.settings import load
from schemas.times import from_micros, to_micros
from schemas.topics import CONTROLS
from sluice.backfill import backfill
from sluice.cli import MOMENT
from sluice.kafka import reach

PAGE = 1_000
SENT_WITHIN_S = 60.0
# Not idempotent: a broker that lost records gives out producer ids anew that live producers have, and takes the
# records of the second one for repeats of the first one's. Here repeats do no harm; one request keeps the order.
PLAIN = {"enable.idempotence": False, "max.in.flight.requests.per.connection": 1}
CLOCKS_DIFFER = timedelta(minutes=1)  # of the gateways that wrote the rows

_c = outbox.c
_names = list(OutboxRow.__struct_fields__)
_older = Statement(
    select(_c.id, _c.recorded_at)
    .where(_c.id < bindparam("before_id"))
    .order_by(_c.id.desc())
    .limit(bindparam("most"))
)
_newer = Statement(
    select(*[_c[name] for name in _names])
    .where(_c.id > bindparam("after_id"))
    .order_by(_c.id)
    .limit(bindparam("most"))
)


@click.group()
def outbox_command() -> None:
    """The events of the books on their way to Kafka."""


@outbox_command.command()
@click.option("--since", type=MOMENT, required=True, metavar="TIME", help="ISO 8601, UTC without a zone.")
def resend(since: datetime) -> None:
    """Send the published events since TIME to Kafka again.

    For a broker that came back without its last records. Consumers drop what they know. What is not published yet
    is the gateway's to send, which may run meanwhile.
    """
    settings = load(GatewaySettings)
    sending = Resending(reach(settings, "gateway"))
    for row in _published_since(settings.books_url(), to_micros(since)):
        sending.send(row)
    sending.finish()
    click.echo(f"sent {sending.sent} events again")


outbox_command.add_command(backfill)


class Resending:
    """Sends rows in their order, and counts what Kafka acknowledged."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._producer: Producer = producer(
            bootstrap, **PLAIN, **{"message.timeout.ms": int(SENT_WITHIN_S * 1000)}
        )
        self._errors: list[KafkaError] = []
        self.sent = 0

    def send(self, row: OutboxRow) -> None:
        """Hand a row to the producer. Raises `click.ClickException` once a record was refused."""
        headers = row_headers(row)
        while True:
            self._fail_on_errors()
            try:
                self._producer.produce(
                    row.topic, row.value or None, row.key, headers=headers, on_delivery=self._on_delivery
                )
            except BufferError:  # its queue is full: wait for it to send
                self._producer.poll(0.1)
            except KafkaException as error:
                raise click.ClickException(f"Kafka refuses records: {error.args[0].str()}") from None
            else:
                self._producer.poll(0)
                return

    def finish(self) -> None:
        """Wait until Kafka has all. Raises `click.ClickException` where it has not in time."""
        left = self._producer.flush(SENT_WITHIN_S)
        self._fail_on_errors()
        if left:
            raise click.ClickException(f"{left} events were not acknowledged: send them once more")

    def _fail_on_errors(self) -> None:
        if self._errors:
            raise click.ClickException(f"Kafka took {self.sent} events and then none: {self._errors[0].str()}")

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.sent += 1
        else:
            self._errors.append(error)


def _published_since(url: str, since: int) -> Iterator[OutboxRow]:
    """The published rows recorded at or after `since` (microseconds UTC), in order, a page at a time.

    A topic keeps the last word on a control: of one that was changed since, that is what is in force, and of one
    that was taken away nothing.
    """
    in_force = run_once(url, select_settings, readonly=True)
    after_id = run_once(url, lambda conn: _last_before(conn, since), readonly=True)
    while True:
        page = run_once(url, lambda conn: _page(conn, after_id), readonly=True)  # noqa: B023 (run at once)
        told = [row for row in page if row.published_at is not None and row.recorded_at >= since]
        for row in told:
            current = _in_force(row, in_force) if row.topic == CONTROLS.name else row
            if current is not None:
                yield current
        if len(page) < PAGE:
            return
        after_id = page[-1].id


def _in_force(row: OutboxRow, settings: dict[str, ToldSetting | None]) -> OutboxRow | None:
    setting = settings.get(row.key, ToldSetting(row.type, row.value))
    if setting is None:
        return None
    if setting.value == row.value:
        return row
    again = derived_id(row.event_id, "resend")
    return msgspec.structs.replace(row, type=setting.type, value=setting.value, event_id=again)


def _last_before(conn: Connection, since: int) -> int:
    """The id of a row before all that were recorded since; ids follow the time but for clocks that differ."""
    before_id, margin = 2**62, to_micros(from_micros(since) - CLOCKS_DIFFER)
    while True:
        page = list(_older(conn, before_id=before_id, most=PAGE))
        if not page:
            return 0
        if all(row.recorded_at < margin for row in page):
            return int(page[0].id)
        before_id = page[-1].id


def _page(conn: Connection, after_id: int) -> list[OutboxRow]:
    return [OutboxRow(*row) for row in _newer(conn, after_id=after_id, most=PAGE)]
