"""Fraud rules, and list entries of earlier releases: those a stack starts with, and what `controls.v1` told since.

The stand-in obeys the entries, also while Kafka is away.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from sqlalchemy import Connection, Index, bindparam, or_, select

from gateway.books.outbox import add_event
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of
from schemas.controls import ControlKind, ToldControl, kind_of
from schemas.events import Tombstone
from schemas.fraud import ListEntry
from schemas.rules import FraudRule
from schemas.times import as_utc, to_micros
from schemas.topics import CONTROLS


class ControlRow(msgspec.Struct, frozen=True):
    """A row of `controls`. `setting`: all of it, as JSON; `value`: whom a list entry is about, null for a rule.

    Of one that was taken away, of which a start must not make another, the row stays: `removed`, with an empty
    setting. `version` counts its changes from 1; `recorded_at`: when it was set, microseconds UTC.
    """

    id: str
    kind: Literal[ControlKind, "removed"]
    value: str | None
    setting: str
    version: Int32
    recorded_at: Micros


controls = table_of("controls", ControlRow)
_c = controls.c
Index("ix_controls_value", _c.value)
Index("ix_controls_kind", _c.kind, _c.id)

_written = ("kind", "value", "setting", "version", "recorded_at")
_add = Statement(
    lambda insert: (put := insert(controls)).on_conflict_do_update(
        index_elements=["id"],
        set_={name: put.excluded[name] for name in _written},
        where=(_c.kind == "rule") & (_c.recorded_at == 0),  # as an earlier release began with it
    )
)
_keep_rule = Statement(
    lambda insert: (put := insert(controls)).on_conflict_do_update(
        index_elements=["id"],
        set_={name: put.excluded[name] for name in _written},
        # As `schemas.controls.replaces` has it: the higher version, and those of 1970 nobody set.
        where=((_c.kind == "fraud_rule") & (_c.version < put.excluded.version))
        | ((_c.kind != "fraud_rule") & ((put.excluded.recorded_at != 0) | (_c.recorded_at == 0))),
    )
)
_keep = Statement(
    lambda insert: (put := insert(controls)).on_conflict_do_update(
        index_elements=["id"],
        set_={
            "kind": put.excluded.kind,
            "value": put.excluded.value,
            "setting": put.excluded.setting,
            "version": _c.version + 1,
            "recorded_at": put.excluded.recorded_at,
        },
        # As `schemas.controls.replaces` has it: those of 1970 nobody set.
        # What is read again must not undo a version that was written meanwhile.
        where=(_c.setting != put.excluded.setting)
        & ((put.excluded.recorded_at != 0) | (_c.recorded_at == 0))
        & ((_c.kind != "fraud_rule") | (put.excluded.recorded_at > _c.recorded_at)),
    )
)
_about = Statement(
    select(_c.setting).where(or_(_c.value == bindparam("instrument_id"), _c.value == bindparam("merchant_id")))
)
_settings = Statement(select(_c.id, _c.kind, _c.setting))


def add_rules(conn: Connection, rules: Iterable[FraudRule], now: int) -> None:
    """Write the rules that the books do not have yet, each with its event, at `now` (microseconds UTC)."""
    for rule in rules:
        if not _add(conn, **msgspec.structs.asdict(_row(rule))).rowcount:
            continue
        add_event(
            conn,
            topic=CONTROLS.name,
            key=rule.id,
            type=f"control.{kind_of(rule)}",
            subject_id=rule.id,
            sequence=rule.version,
            data=rule,
            traceparent=None,
            now=now,
        )


def keep_controls(conn: Connection, told: Iterable[ToldControl]) -> None:
    """Keep what `controls.v1` told, in its order: each control that is another one than in the books, or gone."""
    for control in told:
        keep = _keep_rule if isinstance(control, FraudRule) else _keep
        keep(conn, **msgspec.structs.asdict(_row(control)))


def select_entries(conn: Connection, instrument_id: str, merchant_id: str) -> list[ListEntry]:
    """The list entries about an instrument or a merchant, those that have expired among them."""
    rows = _about(conn, instrument_id=instrument_id, merchant_id=merchant_id)
    found = [msgspec.json.decode(row.setting, type=ListEntry) for row in rows]
    about = {"instrument": instrument_id, "merchant": merchant_id}
    return [entry for entry in found if entry.value == about[entry.kind]]


class ToldSetting(msgspec.Struct, frozen=True):
    """What is told of a control: the type of its event and its value."""

    type: str
    value: bytes


def select_settings(conn: Connection) -> dict[str, ToldSetting | None]:
    """What is told of each control by its id; None of one that was taken away."""
    return {
        row.id: None if row.kind == "removed" else ToldSetting(f"control.{row.kind}", row.setting.encode())
        for row in _settings(conn)
    }


def _row(control: ToldControl) -> ControlRow:
    recorded_at = to_micros(as_utc(control.recorded_at))
    if isinstance(control, Tombstone):
        return ControlRow(control.key, "removed", None, "", 1, recorded_at)
    value = control.value if isinstance(control, ListEntry) else None
    setting = msgspec.json.encode(control).decode()
    version = control.version if isinstance(control, FraudRule) else 1
    return ControlRow(control.id, kind_of(control), value, setting, version, recorded_at)
