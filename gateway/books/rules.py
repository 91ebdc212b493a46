"""Fraud rules in the books: each change is a version, with its event; and what each rule met, counted once.

They stand among the controls, where what `controls.v1` tells is kept too: a rule of the former type is read as the
one it means.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, bindparam, delete, or_, select, update

from gateway.books.controls import controls
from gateway.books.outbox import add_event
from gateway.books.sql import Statement
from gateway.books.tables import Int64, Minor, table_of
from schemas.fraud import Rule
from schemas.rules import FraudRule, RuleMode, as_fraud_rule
from schemas.times import now_micros, to_micros
from schemas.topics import CONTROLS


class RuleHits(msgspec.Struct, frozen=True):
    """A row of `rule_hits`: payments that met a rule since it decides as it does, in one currency."""

    rule_id: str
    mode: RuleMode
    currency: str
    payments: Int64
    amount: Minor


rule_hits = table_of("rule_hits", RuleHits, primary_key=("rule_id", "mode", "currency"))
_c, _h = controls.c, rule_hits.c
_rules = or_(_c.kind == "rule", _c.kind == "fraud_rule")
_following = Statement(  # of two kinds, sorted: of rules there are few
    select(_c.kind, _c.setting, _c.version)
    .where(_rules, _c.id > bindparam("after"))
    .order_by(_c.id)
    .limit(bindparam("most"))
)
_one = Statement(select(_c.kind, _c.setting, _c.version).where(_rules, _c.id == bindparam("of_id")))
_written = ("kind", "value", "setting", "version", "recorded_at")
_insert = Statement(
    lambda insert: (put := insert(controls)).on_conflict_do_update(
        index_elements=["id"],
        set_={name: put.excluded[name] for name in _written},
        where=_c.kind == "removed",  # by a tombstone, which has no version of its own
    )
)
_update = Statement(
    update(controls)
    .where(_c.id == bindparam("of_id"), _c.version == bindparam("of_version"), _rules)
    .values({name: bindparam(f"to_{name}") for name in _written})
)
_live = Statement(select(_c.setting).where(_c.kind == "fraud_rule"))
_hits = Statement(select(rule_hits).where(_h.rule_id == bindparam("of_id")).order_by(_h.mode, _h.currency))
_forget = Statement(delete(rule_hits).where(_h.rule_id == bindparam("of_id")))
_count = Statement(
    lambda insert: (put := insert(rule_hits)).on_conflict_do_update(
        index_elements=["rule_id", "mode", "currency"],
        set_={"payments": _h.payments + put.excluded.payments, "amount": _h.amount + put.excluded.amount},
    )
)


def list_rules(conn: Connection, after_id: str | None, most: int) -> list[FraudRule]:
    """Up to `most` rules by id, after the one of `after_id`; those that are removed among them."""
    return [_read(*row) for row in _following(conn, after=after_id or "", most=most)]


def select_rule(conn: Connection, rule_id: str) -> FraudRule | None:
    """A rule as it was set last, also where it is removed; None where there is none, or a tombstone took it."""
    row = _one(conn, of_id=rule_id).first()
    return None if row is None else _read(*row)


def insert_rule(conn: Connection, rule: FraudRule) -> bool:
    """Write a new rule, with its event. False where its id is taken."""
    written = bool(_insert(conn, id=rule.id, **_values(rule)).rowcount)
    if written:
        _tell(conn, rule)
    return written


def update_rule(conn: Connection, rule: FraudRule) -> bool:
    """Write a rule in place of the version before it, with its event. False where another one stands there."""
    values = {f"to_{name}": value for name, value in _values(rule).items()}
    written = bool(_update(conn, of_id=rule.id, of_version=rule.version - 1, **values).rowcount)
    if written:
        _tell(conn, rule)
    return written


def count_hits(conn: Connection, rule_ids: Iterable[str], mode: RuleMode, amount: int, currency: str) -> None:
    """Count a payment for each rule that it met; in the transaction that applies its verdict, so once."""
    for rule_id in sorted(set(rule_ids)):  # in one order: two transactions never wait for each other
        _count(conn, rule_id=rule_id, mode=mode, currency=currency, payments=1, amount=amount)


def select_hits(conn: Connection, rule_id: str) -> list[RuleHits]:
    """What a rule met since it decides as it does, per mode and currency."""
    return [RuleHits(*row) for row in _hits(conn, of_id=rule_id)]


def forget_hits(conn: Connection, rule_id: str) -> None:
    """Begin to count anew: the rule decides otherwise from here on."""
    _forget(conn, of_id=rule_id)


def select_live(conn: Connection) -> list[str]:
    """Each fraud rule in the books that is live, as JSON."""
    return [row.setting for row in _live(conn) if '"mode":"live"' in row.setting]


def _read(kind: str, setting: str, version: int) -> FraudRule:
    if kind == "rule":
        return as_fraud_rule(msgspec.json.decode(setting, type=Rule), version)
    return msgspec.json.decode(setting, type=FraudRule)


def _values(rule: FraudRule) -> dict[str, object]:
    return {
        "kind": "fraud_rule",
        "value": None,
        "setting": msgspec.json.encode(rule).decode(),
        "version": rule.version,
        "recorded_at": to_micros(rule.recorded_at),
    }


def _tell(conn: Connection, rule: FraudRule) -> None:
    add_event(
        conn,
        topic=CONTROLS.name,
        key=rule.id,
        type="control.fraud_rule",
        subject_id=rule.id,
        sequence=rule.version,
        data=rule,
        traceparent=None,
        now=now_micros(),
    )
