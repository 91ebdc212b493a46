"""The audit of the books: who did what to whom, each entry chained to the one before (PCI DSS 10.2, 10.3.4).

A transaction says what it does with `record`. The last thing it does is to seal that: under a lock of the chain's
head, held for no longer than this and the commit, its acts get their numbers and hashes. So no number is left out,
and who sees an entry sees all before it. The hashes are keyed: who can write the books, and has no key of the
gateway, can add nothing that fits. Against who has the key stand the heads that the vault keeps
(docs/decisions/0049).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Index, bindparam, insert, select, update

from gateway.books.engine import ACTS, Seal, announce
from gateway.books.refusal_budget import RefusalBudget
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Int64, Micros, struct_of, table_of
from gateway.keyed_hashes import keyed_hash
from gateway.log_lines import LogLine
from schemas.accounts import ActKind
from schemas.ids import letters
from schemas.times import from_micros, now_micros

PURPOSE = "audit of the books"
GENESIS = "a" * 64  # the hash before the first entry


class Act(msgspec.Struct, frozen=True):
    """What somebody did. `actor_id`: of an account or client, empty where nobody is known; `subject_id`: to what.

    `detail`: ids, roles, scopes and reasons of staff; no secret, and nothing personal.
    """

    kind: ActKind
    actor_id: str
    subject_id: str
    detail: Mapping[str, str] = {}


class ActRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `audit`: an act, its number from 1 without gaps, when (microseconds UTC), and its hash.

    `detail`: JSON, an object of texts.
    """

    n: Int64
    at: Micros
    kind: ActKind
    actor_id: str
    subject_id: str
    detail: str
    hash: str


class AuditHead(msgspec.Struct, frozen=True):
    """The one row of `audit_heads`: the number and the hash of the newest entry, and what writers wait for."""

    one: Int32
    n: Int64
    hash: str


class EntryHash(NamedTuple):
    """The hash of an entry."""

    n: int
    hash: str


class ActLine(LogLine, frozen=True, kw_only=True):
    """An entry as the log shows it; its hash makes of a log that is kept elsewhere one more witness."""

    event: str = "act.recorded"
    n: int
    kind: ActKind
    actor_id: str
    subject_id: str
    hash: str


audit = table_of("audit", ActRow, primary_key=("n",))
audit_heads = table_of("audit_heads", AuditHead, primary_key=("one",))
_c, _head = audit.c, audit_heads.c
# By whom, to whom, of which kind, and when: a list is led by one of them, the newest first.
for _leader in ("actor_id", "subject_id", "kind"):
    Index(f"ix_audit_{_leader}", _c[_leader], _c.at, _c.n)
Index("ix_audit_at", _c.at, _c.n)

_encoder = msgspec.json.Encoder(order="sorted")
_insert = Statement(insert(audit))
_lock = Statement(select(_head.n, _head.hash).where(_head.one == 1).with_for_update())
_begin = Statement(lambda insert: insert(audit_heads).values(one=1).on_conflict_do_nothing(), ["n", "hash"])
_move = Statement(update(audit_heads).where(_head.one == 1).values(n=bindparam("to_n"), hash=bindparam("to_hash")))
_newest = Statement(select(_c.n, _c.hash).order_by(_c.n.desc()).limit(1))
_page = Statement(select(audit).where(_c.n > bindparam("after")).order_by(_c.n).limit(bindparam("most")))
_hashes = Statement(select(_c.n, _c.hash).where(_c.n > bindparam("after")).order_by(_c.n).limit(bindparam("most")))


def record(conn: Connection, act: Act) -> None:
    """Write what somebody does into the audit, in the transaction that does it, wherever in it."""
    conn.info.setdefault(ACTS, []).append(act)


def sealing(key: bytes) -> Seal:
    """What seals transactions with a key of the gateway; of refused logins so many a minute."""
    budget = RefusalBudget()
    return lambda conn: _seal(conn, key, budget)


def _seal(conn: Connection, key: bytes, budget: RefusalBudget) -> None:
    recorded: list[Act] = conn.info.pop(ACTS, [])
    acts = [act for each in recorded if (act := _admitted(each, budget))]
    if not acts:
        return
    entries = list(_chained(key, _locked_head(conn), acts, now_micros()))
    for entry in entries:
        _insert(conn, **msgspec.structs.asdict(entry))
        announce(conn, _line(entry))
    _move(conn, to_n=entries[-1].n, to_hash=entries[-1].hash)


def _admitted(act: Act, budget: RefusalBudget) -> Act | None:
    if act.kind != "login_refused":
        return act
    detail = budget.admit(act.subject_id, dict(act.detail))
    return None if detail is None else msgspec.structs.replace(act, detail=detail)


def _locked_head(conn: Connection) -> EntryHash:
    """The newest entry; until this transaction ends, nobody else adds one."""
    found = _lock(conn).first()
    if found is None:  # nobody has yet: whoever begins at the same time waits for this INSERT
        newest = newest_entry(conn)
        _begin(conn, n=newest.n, hash=newest.hash)
        found = _lock(conn).one()
    return EntryHash(*found)


def _chained(key: bytes, head: EntryHash, acts: list[Act], now: int) -> Iterator[ActRow]:
    for act in acts:
        entry = ActRow(
            n=head.n + 1,
            at=now,
            kind=act.kind,
            actor_id=act.actor_id,
            subject_id=act.subject_id,
            detail=_encoder.encode(act.detail).decode(),
            hash="",
        )
        entry = msgspec.structs.replace(entry, hash=hash_of(key, head.hash, entry))
        head = EntryHash(entry.n, entry.hash)
        yield entry


def _line(entry: ActRow) -> ActLine:
    return ActLine(
        timestamp=from_micros(entry.at),
        n=entry.n,
        kind=entry.kind,
        actor_id=entry.actor_id,
        subject_id=entry.subject_id,
        hash=entry.hash,
    )


def hash_of(key: bytes, previous: str, entry: ActRow) -> str:
    """The hash of an entry that follows the hash `previous`: over that, and all that the entry says."""
    said = _encoder.encode(
        [previous, entry.n, entry.at, entry.kind, entry.actor_id, entry.subject_id, entry.detail]
    )
    return letters(keyed_hash(key, PURPOSE, said))


def newest_entry(conn: Connection) -> EntryHash:
    """The newest entry; before the first one, what that follows."""
    found = _newest(conn).first()
    return EntryHash(*found) if found else EntryHash(0, GENESIS)


def list_hashes(conn: Connection, after: int, most: int) -> list[EntryHash]:
    """Up to `most` hashes of the entries that follow number `after`, in order."""
    return [EntryHash(*row) for row in _hashes(conn, after=after, most=most)]


def list_entries(conn: Connection, after: int, most: int) -> list[ActRow]:
    """Up to `most` entries that follow number `after`, in order."""
    return [struct_of(ActRow, row) for row in _page(conn, after=after, most=most)]
