"""Records nobody can read or keep are set aside and the flow goes on: one that stopped it would do so for ever."""

import pickle

import msgspec
import pytest

from connectors.records import Out, Record
from schemas.events import DeadLetter, decode
from tests.flows.analytics.conftest import Kept, Log, payment, step

PAYMENTS = "payments.v1"
GOOD = Log().event(PAYMENTS, step(1, None, payment()))


def body(**changed: object) -> bytes:
    """A payment event's JSON with fields of its payment changed."""
    data = msgspec.json.decode(GOOD.value or b"")
    data["payment"] |= changed
    return msgspec.json.encode(data)


def header(**changed: bytes | None) -> list[tuple[str, bytes]]:
    """Good headers but for some; None takes one away."""
    return [
        (k, v)
        for k, v in (dict(GOOD.headers) | {f"ce_{k}": v for k, v in changed.items()}).items()
        if v is not None
    ]


UNREADABLE: dict[str, Record] = {
    "a null value": msgspec.structs.replace(GOOD, value=None),
    "an empty value": msgspec.structs.replace(GOOD, value=b""),
    "no headers": msgspec.structs.replace(GOOD, headers=[]),
    "no id": msgspec.structs.replace(GOOD, headers=header(id=None)),
    "an unknown type": msgspec.structs.replace(GOOD, headers=header(type=b"payment.exploded")),
    "a header that is no text": msgspec.structs.replace(GOOD, headers=header(id=b"\xff\xfe")),
    "a time that is none": msgspec.structs.replace(GOOD, headers=header(time=b"yesterday")),
    "half a JSON": msgspec.structs.replace(GOOD, value=(GOOD.value or b"")[:-9]),
    "no JSON": msgspec.structs.replace(GOOD, value=b"<html>"),
    "no UTF-8": msgspec.structs.replace(GOOD, value=b'{"sequence": "\xff"}'),
    "an array": msgspec.structs.replace(GOOD, value=b"[]"),
    "a number": msgspec.structs.replace(GOOD, value=b"17"),
    "a pickle": msgspec.structs.replace(GOOD, value=pickle.dumps({"sequence": 1})),
    "nested without end": msgspec.structs.replace(GOOD, value=b"[" * 100_000),
    "a megabyte of nothing": msgspec.structs.replace(GOOD, value=b" " * 1_000_000),
    "an amount with decimals": msgspec.structs.replace(GOOD, value=body(amount=19.99)),
    "an amount as text": msgspec.structs.replace(GOOD, value=body(amount="1999")),
    "an amount of 1e400": msgspec.structs.replace(GOOD, value=body().replace(b":1999,", b":1e400,", 1)),
    "an amount of 64 bits and one": msgspec.structs.replace(GOOD, value=body(amount=2**63)),
    "an amount of 400 digits": msgspec.structs.replace(
        GOOD, value=body().replace(b":1999,", b":" + b"9" * 400 + b",", 1)
    ),
    "an unknown state": msgspec.structs.replace(GOOD, value=body(state="exploded")),
    "a month 13": msgspec.structs.replace(GOOD, value=body(created_at="2026-13-01T00:00:00Z")),
    "a time before the year 1": msgspec.structs.replace(GOOD, value=body(created_at="0001-01-01T00:00:00+14:00")),
    "a time after the year 9999": msgspec.structs.replace(
        GOOD, value=body(created_at="9999-12-31T23:00:00-14:00")
    ),
    "a card number in clear": msgspec.structs.replace(GOOD, value=body(merchant="acc 4111 1111 1111 1111")),
}

# Odd, but what the type allows: kept as it is.
KEPT: dict[str, Record] = {
    "no key": msgspec.structs.replace(GOOD, key=None),
    "10,000 headers": msgspec.structs.replace(GOOD, headers=GOOD.headers + [("x", b"y")] * 10_000),
    "a negative amount": msgspec.structs.replace(GOOD, value=body(amount=-5)),
    "year 1970": msgspec.structs.replace(GOOD, value=body(created_at="1970-01-01T00:00:00Z")),
    "year 9999": msgspec.structs.replace(GOOD, value=body(created_at="9999-12-31T23:59:59Z")),
    "year 1": msgspec.structs.replace(GOOD, value=body(occurred_at="0001-01-01T00:00:00Z")),
    "a time without a zone": msgspec.structs.replace(GOOD, value=body(created_at="2026-11-23T12:00:00")),
    "text with a NUL": msgspec.structs.replace(GOOD, value=body(merchant="a\0b")),
    "text with quotes": msgspec.structs.replace(GOOD, value=body(merchant="'; DROP TABLE store.payments; --")),
    "a field we do not know": msgspec.structs.replace(GOOD, value=body(future="field")),
}


def around(kept: Kept, poison: Record) -> None:
    """Write the poison between two good records, all in one batch."""
    log = Log()
    before, after = (log.event(PAYMENTS, step(1, None, payment(id=f"pay_{n}"))) for n in ("before", "after"))
    between = msgspec.structs.replace(poison, offset=1)
    kept.write(before, between, msgspec.structs.replace(after, offset=2))


@pytest.mark.parametrize("name", UNREADABLE)
def test_it_is_set_aside_and_the_flow_goes_on(kept: Kept, name: str) -> None:
    around(kept, UNREADABLE[name])
    assert kept.ask("SELECT id FROM payments ORDER BY id") == [("pay_after",), ("pay_before",)]
    assert kept.ask("SELECT next_offset FROM store.offsets") == [(3,)]
    [letter] = [decode(out.headers, out.value).data for out in kept.letters]
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.partition, letter.offset) == (PAYMENTS, 0, 1)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_only_odd_is_kept(kept: Kept, name: str) -> None:
    around(kept, KEPT[name])
    assert kept.letters == []
    assert kept.ask("SELECT count(*) FROM payments") == [(3,)]


def test_a_card_number_goes_no_further(kept: Kept) -> None:
    around(kept, UNREADABLE["a card number in clear"])
    [out] = kept.letters
    letter = decode(out.headers, out.value).data
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "card number in clear"
    assert letter.value is None, "its bytes stay where they are"
    assert b"1111" not in out.value


def test_the_bytes_of_a_harmless_record_travel_along(kept: Kept) -> None:
    around(kept, UNREADABLE["no JSON"])
    letter = decode(kept.letters[0].headers, kept.letters[0].value).data
    assert isinstance(letter, DeadLetter)
    assert letter.value == "PGh0bWw+"


def test_a_dead_letter_nobody_can_read_is_counted_and_not_posted_again(kept: Kept, kafka_log: Log) -> None:
    kept.write(kafka_log.bytes("dead_letter.v1", b"?"), kafka_log.bytes("dead_letter.v1", None))
    assert kept.letters == []
    assert kept.ask('SELECT topic, "offset", event, reason FROM dead_letters ORDER BY ALL') == [
        ("dead_letter.v1", 0, None, "unreadable dead letter"),
        ("dead_letter.v1", 1, None, "unreadable dead letter"),
    ]


def test_the_same_poison_has_the_same_letter_each_time(kept: Kept) -> None:
    around(kept, UNREADABLE["no JSON"])
    around(kept, UNREADABLE["no JSON"])
    first, second = (decode(out.headers, out.value).id for out in kept.letters)
    assert first == second


def test_letters_are_sent_before_their_offsets_are_kept(
    kept: Kept, kafka_log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def send(_letters: list[Out]) -> None:
        seen.append(kept.ask("FROM store.offsets"))

    monkeypatch.setattr(kept.warehouse, "_send", send)
    kept.write(kafka_log.bytes(PAYMENTS, b"?"))
    assert seen == [[]]
    assert kept.ask("SELECT next_offset FROM store.offsets") == [(1,)]
