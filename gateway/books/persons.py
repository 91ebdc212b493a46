"""What the books hold of a person is sealed under that person's key, which no copy of the books has.

Keys stand in the vault (docs/decisions/0046). The books' functions cannot ask for one: they find it on the
`KeyRing` of their connection, or raise `PersonKeysNeeded`; `PersonalBooks` fetches it then and runs them again.
Rows from before this was so are read as they stand, until `sealing` has come to them.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from gateway.books.key_ring import KeyRing
from gateway.keyed_hashes import keyed_hash

RING = "person keys"  # in a connection's `info`
LOOKUPS = "lookups"  # in place of a person: the key that e-mail addresses are hashed with, to find their accounts
MARK = "sealed:1:"
NONCE_BYTES = 12
# Where anybody has a mailbox at once, the domain says nothing of its holders.
PUBLIC_MAIL_DOMAINS = {
    *("aol.com", "gmail.com", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com"),
    *("live.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com", "outlook.com", "proton.me", "qq.com"),
    *("protonmail.com", "t-online.de", "web.de", "yahoo.co.jp", "yahoo.com", "yandex.com", "yandex.ru", "163.com"),
}

S = TypeVar("S", bound=msgspec.Struct)

log = structlog.get_logger()


class PersonKeysNeeded(Exception):
    """The keys of these persons are not on the ring. `make`: whoever has none gets one."""

    def __init__(self, person_ids: Collection[str], *, make: bool) -> None:
        super().__init__(f"{len(person_ids)} keys")
        self.person_ids, self.make = sorted(person_ids), make


class PersonalColumns(NamedTuple):
    """The columns of a table that are sealed. `gone`: what they are read as once the key was destroyed.

    `row_id` and `person_id`: the fields that say which row it is, and whose.
    """

    table: str
    gone: Mapping[str, str | None]
    row_id: str = "id"
    person_id: str = "id"


ACCOUNT_TEXTS = PersonalColumns(
    "accounts",
    {"email": None, "new_email": None, "name": "", "phone": None, "locale": "en", "time_zone": "UTC"},
)
CONFIRMATION_TEXTS = PersonalColumns("confirmations", {"address": ""}, person_id="account_id")
PAYMENT_TEXTS = PersonalColumns(
    "payments", {"description": None, "metadata": None, "return_url": None}, person_id="customer_id"
)
REFUND_TEXTS = PersonalColumns("refunds", {"reason": None}, person_id="customer_id")
SAVED_TEXTS = PersonalColumns("saved", {"name": "", "content": ""}, person_id="account_id")
SQL_TOKEN_TEXTS = PersonalColumns("sql_tokens", {"name": ""}, person_id="account_id")


class Sealed(NamedTuple):
    """A sealed text, and the place that it was sealed for: it opens nowhere else."""

    text: str
    table: str
    column: str
    row_id: str

    def person_id(self) -> str:
        """Whose it is."""
        return self.text[len(MARK) :].partition(":")[0]


def is_sealed(text: str | None) -> bool:
    """Whether a text of the books is sealed."""
    return text is not None and text.startswith(MARK)


def require(conn: Connection, person_ids: Iterable[str], *, make: bool = False) -> None:
    """Raise `PersonKeysNeeded`, once for all of them, where a person's key is not on the ring."""
    ring: KeyRing = conn.info[RING]
    if missing := {person_id for person_id in person_ids if ring.find(person_id, make=make) is None}:
        raise PersonKeysNeeded(missing, make=make)


def lookup(conn: Connection, email_key: str) -> str:
    """What the books find an account by: a hash of its address, which a copy of the books lets nobody try out."""
    key = _key(conn, LOOKUPS, make=True)
    assert key is not None  # nobody destroys it
    return keyed_hash(key, "email", email_key).hex()


def lookup_domain(conn: Connection, email_key: str) -> str | None:
    """A hash of the domain of an address; None for a domain that says nothing, as anybody has a mailbox there."""
    domain = email_key.rpartition("@")[2]
    if domain in PUBLIC_MAIL_DOMAINS:
        return None
    key = _key(conn, LOOKUPS, make=True)
    assert key is not None  # nobody destroys it
    return keyed_hash(key, "email domain", domain, size=16).hex()


def seal(conn: Connection, person_id: str, table: str, column: str, row_id: str, text: str) -> str | None:
    """A text under its person's key; None where that was destroyed: nothing is kept of them any more."""
    key = _key(conn, person_id, make=True)
    if key is None:
        return None
    nonce = os.urandom(NONCE_BYTES)
    blob = nonce + AESGCM(key).encrypt(nonce, text.encode(), _context(table, column, row_id, person_id))
    return f"{MARK}{person_id}:{urlsafe_b64encode(blob).decode()}"


def unseal(conn: Connection, sealed: Sealed) -> str | None:
    """The text; None where its key was destroyed, or where it was sealed for another place."""
    person_id = sealed.person_id()
    key = _key(conn, person_id)
    if key is None:
        return None
    try:
        blob = urlsafe_b64decode(sealed.text[len(MARK) + len(person_id) + 1 :])
        context = _context(sealed.table, sealed.column, sealed.row_id, person_id)
        return AESGCM(key).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], context).decode()
    except (InvalidTag, ValueError):  # ValueError: no base64, or too short
        log.error("sealed_text.damaged", table=sealed.table, column=sealed.column, row_id=sealed.row_id)
        return None


def sealed_row(conn: Connection, columns: PersonalColumns, row: S) -> S:
    """The row as the books keep it. A text that looks sealed is sealed as any other, what is empty is not."""
    return msgspec.structs.replace(row, **sealed_values(conn, columns, _values(row)))


def sealed_values(conn: Connection, columns: PersonalColumns, row: Mapping[str, Any]) -> dict[str, str | None]:
    """The sealed columns of a row, as the books keep them."""
    row_id, person_id = row[columns.row_id], row[columns.person_id]
    given = {column: row[column] for column in columns.gone}
    texts = {column: text for column, text in given.items() if text and text != columns.gone[column]}
    kept = {column: seal(conn, person_id, columns.table, column, row_id, text) for column, text in texts.items()}
    return given | {column: columns.gone[column] if text is None else text for column, text in kept.items()}


def opened_rows(conn: Connection, columns: PersonalColumns, rows: Iterable[S]) -> list[S]:
    """The rows as they were given. All keys that are missing are asked for at once."""
    there = list(rows)
    require(conn, {sealed.person_id() for row in there for sealed in _sealed(columns, row)})
    return [_opened_row(conn, columns, row) for row in there]


def _opened_row(conn: Connection, columns: PersonalColumns, row: S) -> S:
    texts = {sealed.column: unseal(conn, sealed) for sealed in _sealed(columns, row)}
    opened = {column: columns.gone[column] if text is None else text for column, text in texts.items()}
    return msgspec.structs.replace(row, **opened) if opened else row


def _sealed(columns: PersonalColumns, row: msgspec.Struct) -> list[Sealed]:
    row_id: str = getattr(row, columns.row_id)
    texts = {column: getattr(row, column) for column in columns.gone}
    return [Sealed(text, columns.table, column, row_id) for column, text in texts.items() if is_sealed(text)]


def _values(row: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _key(conn: Connection, person_id: str, *, make: bool = False) -> bytes | None:
    ring: KeyRing = conn.info[RING]
    held = ring.find(person_id, make=make)
    if held is None:
        raise PersonKeysNeeded([person_id], make=make)
    return held.key


def _context(*place: str) -> bytes:
    """Associated data: a text that was moved to another row, column or account does not open."""
    return msgspec.msgpack.encode(place)
