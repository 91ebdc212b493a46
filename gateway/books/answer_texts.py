"""Personal texts in answers: those that are kept under an Idempotency-Key, and every one that leaves.

Payments and refunds carry their texts sealed into an answer; the details of an account or merchant are sealed when
its answer is kept. All are opened where an answer leaves, and the same bytes come out each time.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection

from gateway.books import persons
from gateway.books.persons import (
    ACCOUNT_TEXTS,
    MARK,
    PAYMENT_TEXTS,
    REFUND_TEXTS,
    PersonalColumns,
    Sealed,
    is_sealed,
)

MARKED = f'"{MARK}'.encode()
# By what an answer calls its `object`.
TEXTS: dict[str, PersonalColumns] = {
    "account": ACCOUNT_TEXTS,
    "merchant": ACCOUNT_TEXTS,  # who sells alone has a person's name
    "payment": PAYMENT_TEXTS,
    "refund": REFUND_TEXTS,
}


def sealed_answer(conn: Connection, body: bytes) -> bytes:
    """The body of an answer as it is kept: with the details of an account or merchant that it shows sealed."""
    shown = msgspec.json.decode(body) if body else None
    if not isinstance(shown, dict) or TEXTS.get(shown.get("object", "")) is not ACCOUNT_TEXTS:
        return body
    row = dict.fromkeys(ACCOUNT_TEXTS.gone) | shown
    kept = persons.sealed_values(conn, ACCOUNT_TEXTS, row)
    return msgspec.json.encode(shown | {name: text for name, text in kept.items() if name in shown})


def has_sealed(body: bytes) -> bool:
    """Whether anything in a body may be sealed."""
    return MARKED in body


def opened_answer(conn: Connection, body: bytes) -> bytes:
    """A body with its texts opened; without those whose keys were destroyed."""
    document = msgspec.json.decode(body)
    found = list(_texts(document))
    persons.require(conn, {sealed.person_id() for _, sealed in found})
    for shown, sealed in found:
        _put(shown, sealed, persons.unseal(conn, sealed))
    return msgspec.json.encode(document)


def _texts(document: Any) -> Iterator[tuple[dict[str, Any], Sealed]]:
    """The objects of a document that show sealed texts, each with one of them."""
    match document:
        case list():
            for each in document:
                yield from _texts(each)
        case dict():
            columns = TEXTS.get(document.get("object", ""))
            for name, value in document.items():
                text = _sealed_text(value) if columns and name in columns.gone else None
                if columns and text:
                    yield document, Sealed(text, columns.table, name, document[columns.row_id])
                else:
                    yield from _texts(value)


def _sealed_text(value: Any) -> str | None:
    """A text, or metadata, that is sealed; None where it is not."""
    if isinstance(value, dict) and value.keys() == {""}:
        value = value[""]
    return value if isinstance(value, str) and is_sealed(value) else None


def _put(shown: dict[str, Any], sealed: Sealed, text: str | None) -> None:
    """Show a text; one that is gone is null or empty for an account, and absent elsewhere."""
    if text is None and sealed.table != ACCOUNT_TEXTS.table:
        del shown[sealed.column]
    elif text is None:
        shown[sealed.column] = ACCOUNT_TEXTS.gone[sealed.column]
    else:
        shown[sealed.column] = msgspec.json.decode(text) if sealed.column == "metadata" else text
