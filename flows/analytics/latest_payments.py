"""The topic `payments.latest.v1`: each payment as it stands, told once its row is in the warehouse."""

from collections.abc import Collection, Iterable

import msgspec

from connectors.records import Out, Record, event_id_of
from flows.analytics.ingest import SOURCE, IngestedRecord
from flows.analytics.rows import WarehousePayment
from schemas.events import derived_id, headers_of
from schemas.topics import LATEST_PAYMENTS

LATEST = "payment.latest"


class _Told(msgspec.Struct):
    """What goes on of a payment's or refund's event, as it came, fields of a newer release too."""

    sequence: int
    recorded_at: msgspec.Raw
    payment: msgspec.Raw


_decoder = msgspec.json.Decoder(_Told)
_encoder = msgspec.json.Encoder()


def latest_events(batch: Iterable[IngestedRecord], standing: Collection[str]) -> list[Out]:
    """`payment.latest` of each payment in `standing`, from the newest of its events in the batch."""
    newest: dict[str, tuple[WarehousePayment, Record]] = {}
    for item in batch:
        for row in item.rows:
            if isinstance(row, WarehousePayment) and _is_newer(row, newest.get(row.id)):
                newest[row.id] = row, item.record
    return [_latest(*found) for id, found in newest.items() if id in standing]


def _is_newer(row: WarehousePayment, known: tuple[WarehousePayment, Record] | None) -> bool:
    return known is None or known[0].sequence <= row.sequence


def _latest(row: WarehousePayment, record: Record) -> Out:
    event_id = derived_id(event_id_of(record.headers), LATEST)
    headers = headers_of(event_id, LATEST, SOURCE, row.id, row.recorded_at, _traceparent(record))
    value = _encoder.encode(_decoder.decode(record.value or b""))
    return Out(LATEST_PAYMENTS.name, row.id.encode(), headers, value)


def _traceparent(record: Record) -> str | None:
    value = dict(record.headers).get("traceparent")
    return value.decode(errors="replace") if isinstance(value, bytes) else value
