"""Lists as analysts keep them: of every kind, by hand and by file, and what never stands on one."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import text

from gateway.books.list_entries import list_entries
from schemas.ids import new_id
from schemas.times import now
from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER = "4111111111111111"
SOON = (now() + timedelta(days=3)).isoformat()
HEAD = "list,kind,value,reason,expires_at\r\n"


async def post(gateway: Gateway, kind: str, value: str, list: str = "block", **more: Any) -> Answer:
    body = {"list": list, "kind": kind, "value": value, "reason": "a test"} | more
    return await gateway.ask("POST", "/v1/lists", body, "analyst")


async def send(gateway: Gateway, content: str | bytes, **headers: str) -> Answer:
    data = content.encode() if isinstance(content, str) else content
    return await gateway.ask("POST", "/v1/lists", data, "analyst", content_type="text/csv", **headers)


async def listed(gateway: Gateway, query: str = "") -> list[Any]:
    data: list[Any] = (await gateway.ask("GET", f"/v1/lists?limit=100{query}", who="analyst")).json["data"]
    return data


async def events_of(gateway: Gateway, entry_id: str) -> list[Any]:
    """What the outbox holds of an entry: the values of its events, None of a tombstone."""
    query = text("SELECT value FROM outbox WHERE subject_id = :id ORDER BY id").bindparams(id=entry_id)
    rows = await gateway.runtime.books.read(lambda conn: conn.execute(query).all())
    return [msgspec.json.decode(bytes(row.value)) if row.value else None for row in rows]


async def stored(gateway: Gateway) -> str:
    """All that the books hold of entries and events, as text."""
    query = [text(f"SELECT * FROM {table}") for table in ("list_entries", "outbox", "audit", "idempotency_keys")]
    rows = await gateway.runtime.books.read(lambda conn: [conn.execute(each).all() for each in query])
    return repr(rows)


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("card", f"ins_{'a' * 32}", f"ins_{'a' * 32}"),
        ("bin", "411111", "411111"),
        ("bin", "41111122", "41111122"),
        ("customer", f"acc_{'0' * 26}", f"acc_{'0' * 26}"),
        ("merchant", f"acc_{'1' * 26}", f"acc_{'1' * 26}"),
        ("ip", "203.0.113.9", "203.0.113.9"),
        ("ip", "::ffff:203.0.113.10", "203.0.113.10"),
        ("ip", "203.0.113.0/24", "203.0.113.0/24"),
        ("ip", "203.0.113.11/32", "203.0.113.11"),
        ("ip", "::ffff:198.51.100.0/120", "198.51.100.0/24"),
        ("ip", "2001:DB8:1::7", "2001:db8:1::/64"),
        ("ip", "2001:db8:2::/64", "2001:db8:2::/64"),
        ("country", "de", "DE"),
        ("device", "Anna's phone", "Anna's phone"),
    ],
)
async def test_an_entry_of_every_kind_is_shown_in_clear_and_told_without_what_is_personal(
    gateway: Gateway, kind: str, value: str, shown: str
) -> None:
    made = await post(gateway, kind, value, expires_at=SOON)
    assert made.status == 201
    assert (made.json["kind"], made.json["value"], made.json["hits"]) == (kind, shown, 0)
    assert made.json["owner"] == (await gateway.ask("GET", "/v1/me", who="analyst")).json["id"]
    assert await listed(gateway, f"&kind={kind}&value={quote(value)}") == [made.json]
    (event,) = await events_of(gateway, made.json["id"])
    assert (event["version"], event["owner"]) == (1, made.json["owner"])
    assert "reason" not in event
    if kind in ("ip", "device"):
        assert event["value"] != shown
        assert shown not in await stored(gateway)
    else:
        assert event["value"] == shown


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("card", "card_of_nobody"),
        ("card", "pay_of_nobody"),
        ("card", "ins_short"),
        ("card", "acc_" + "0" * 26),
        ("bin", "4111111"),
        ("bin", "٤١١١١١"),
        ("customer", "somebody@example.com"),
        ("ip", "0.0.0.0/0"),
        ("ip", "::/0"),
        ("ip", "::ffff:0:0/96"),
        ("ip", "10.0.0.0/8"),
        ("ip", "203.0.113.0/25"),
        ("ip", "203.0.113.9/24"),
        ("ip", "2001:db8::/32"),
        ("ip", "300.1.1.1"),
        ("ip", "1"),
        ("country", "UK"),
        ("country", "DEU"),
        ("country", "ß"),
        ("device", ""),
    ],
)
async def test_what_cannot_be_meant_is_refused(gateway: Gateway, kind: str, value: str) -> None:
    before = await listed(gateway)
    answer = await post(gateway, kind, value)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.json["errors"][0]["path"] == "$.value"
    assert await listed(gateway) == before


@pytest.mark.parametrize("kind", ["card", "bin", "customer", "device", "ip"])
@pytest.mark.parametrize("field", ["value", "reason"])
async def test_a_card_number_is_refused_stored_nowhere_and_not_repeated(
    gateway: Gateway, kind: str, field: str
) -> None:
    fields = {"value": "411111", "reason": "a test"} | {field: "4111 1111 1111 1111"}
    answer = await post(gateway, kind, **fields)
    line = await send(gateway, f"{HEAD}block,{kind},{fields['value']},{fields['reason']},\n")
    assert (answer.status, line.json["taken"]) == (422, 0)
    assert line.json["refused"] == [{"line": 2, "code": "card_number" if field == "value" else "reason_invalid"}]
    for told in (answer.body, line.body, (await stored(gateway)).encode()):
        assert b"1111 1111" not in told
        assert NUMBER.encode() not in told


async def test_an_allow_entry_of_a_whole_country_or_bin_ends_soon(gateway: Gateway) -> None:
    late = (now() + timedelta(days=8)).isoformat()
    for kind, value in (("country", "FR"), ("bin", "510510")):
        for given in ({}, {"expires_at": late}):
            refused = await post(gateway, kind, value, "allow", **given)
            assert refused.json["errors"][0]["path"] == "$.expires_at"
        assert (await post(gateway, kind, value, "allow", expires_at=SOON)).status == 201
    past = (now() - timedelta(seconds=1)).isoformat()
    assert (await post(gateway, "country", "FR", expires_at=past)).status == 422


async def test_the_same_again_renews_and_nothing_new_tells_nothing(gateway: Gateway) -> None:
    made = await post(gateway, "country", "IT")
    again = await post(gateway, "country", "it")
    assert (again.status, again.json) == (201, made.json)
    renewed = await gateway.ask(
        "POST",
        "/v1/lists",
        {"list": "block", "kind": "country", "value": "IT", "reason": "for longer", "expires_at": SOON},
        "admin",
    )
    assert (renewed.status, renewed.json["id"], renewed.json["reason"]) == (201, made.json["id"], "for longer")
    assert renewed.json["owner"] != made.json["owner"]
    assert [event["version"] for event in await events_of(gateway, made.json["id"])] == [1, 2]
    assert (await post(gateway, "country", "IT", "allow", expires_at=SOON)).status == 201, "another list"


async def test_what_is_taken_off_is_told_by_a_tombstone_and_audited(gateway: Gateway) -> None:
    made = await post(gateway, "device", "a thief's phone")
    assert (await post(gateway, "device", "a thief's phone")).json == made.json
    path = f"/v1/lists/{made.json['id']}"
    assert (await gateway.ask("DELETE", path, who="admin")).status == 204
    assert (await gateway.ask("DELETE", path, who="admin")).code == "not_found"
    assert made.json not in await listed(gateway)
    assert (await events_of(gateway, made.json["id"]))[1:] == [None]
    acts = (await gateway.ask("GET", f"/v1/audit?subject={made.json['id']}", who="admin")).json["data"]
    assert [act["kind"] for act in acts] == ["list_entry_removed", "list_entry_put"]
    assert "phone" not in msgspec.json.encode(acts).decode()


async def test_pages_show_each_entry_once_by_every_filter(gateway: Gateway) -> None:
    for _ in range(5):
        assert (await post(gateway, "merchant", new_id("acc"), "allow")).status == 201
    everything = await listed(gateway)
    for query, holds in {
        "&list=allow": lambda entry: entry["list"] == "allow",
        "&kind=merchant": lambda entry: entry["kind"] == "merchant",
        "&kind=merchant&list=allow": lambda entry: (entry["kind"], entry["list"]) == ("merchant", "allow"),
        f"&owner={everything[0]['owner']}": lambda entry: entry["owner"] == everything[0]["owner"],
        "&owner=nobody": lambda entry: False,
    }.items():
        found, cursor = [], ""
        while cursor is not None:
            page = await gateway.ask("GET", f"/v1/lists?limit=2{query}&cursor={cursor}", who="analyst")
            found += page.json["data"]
            cursor = page.json["next_cursor"]
        assert found == [entry for entry in everything if holds(entry)], query
    assert (await gateway.ask("GET", "/v1/lists?value=DE", who="analyst")).code == "invalid_request"


async def test_a_file_puts_what_can_be_meant_and_says_of_each_other_line_why_not(gateway: Gateway) -> None:
    lines = [
        "block,ip,192.0.2.1,listed,",
        f"Allow , COUNTRY,pt,holidays,{SOON}",
        "deny,country,ES,why,",
        "block,iban,ES,why,",
        "block,country,ES,,",
        "block,country,ES,why,tomorrow",
        "block,country,ES,why,2020-01-01T00:00:00Z",
        "allow,country,ES,why,",
        "block,ip,0.0.0.0/0,why,",
        "block,card,card_x,why,",
        "block,country,ES",
        'block,device,"=cmd|\'/c calc\'!A1",a "formula",',
        "block,device,=cmd|'/c calc'!A1,=1+1,",
        "block,ip,192.0.2.1,listed,",
        "block,ip,192.0.2.1,listed again,",
    ]
    answer = await send(gateway, "\ufeff" + HEAD + "\r\n".join(lines))
    assert answer.status == 200
    codes = {line["line"]: line["code"] for line in answer.json["refused"]}
    assert codes == {
        4: "list_unknown",
        5: "kind_unknown",
        6: "reason_invalid",
        7: "expires_at_invalid",
        8: "expired",
        9: "allow_too_broad",
        10: "network_size",
        11: "not_found",
        12: "malformed",
    }
    assert (answer.json["taken"], answer.json["refused_count"]) == (6, 9)
    (entry,) = await listed(gateway, "&kind=ip&value=192.0.2.1")
    assert entry["reason"] == "listed again"
    assert len(await events_of(gateway, entry["id"])) == 2, "a line that says nothing new tells nothing"


async def test_a_file_that_is_written_is_read_as_it_was(gateway: Gateway) -> None:
    assert (await post(gateway, "device", "=evil()", reason='because, he said "so"\n@home')).status == 201
    file = await gateway.ask("GET", "/v1/lists", who="analyst", accept="text/csv")
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = file.body.decode().splitlines()
    before = await listed(gateway)
    assert len(lines) == len(before) + 1
    assert [line for line in lines if "'=evil()" in line and '"because, he said ""so"" @home"' in line]
    again = await send(gateway, file.body)
    assert (again.json["taken"], again.json["refused"]) == (len(before), [])
    assert len(await listed(gateway)) == len(before)


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"\x1f\x8b\x08\0", {"content_encoding": "gzip"}, "malformed_request"),
        (b"list,kind\n", {}, "invalid_request"),
        (b"x" * (16 * 1024 * 1024 + 1), {}, "body_too_large"),
    ],
)
async def test_what_is_no_file_of_entries_is_refused(
    gateway: Gateway, content: bytes, headers: dict[str, str], code: str
) -> None:
    assert (await send(gateway, content, **headers)).code == code


async def test_json_keeps_its_own_limit(gateway: Gateway) -> None:
    assert (await post(gateway, "device", "x" * 100_000)).code == "body_too_large"


async def test_what_broke_off_stands_and_the_same_file_completes_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.payments.list_import.ROOM_WITHIN_S", 0.02)
    rooms = iter([True, True])
    monkeypatch.setattr(gateway.runtime.relay, "has_room", lambda: next(rooms, False))
    accounts = [new_id("acc") for _ in range(200)]
    content = HEAD + "".join(f"block,customer,{account},stolen,\n" for account in accounts)
    broken = await send(gateway, content)
    assert (broken.status, broken.code) == (503, "unavailable")
    assert len(await _of(gateway, accounts)) == 128
    monkeypatch.undo()
    whole = await send(gateway, content)
    assert (whole.json["taken"], len(await _of(gateway, accounts))) == (200, 200)
    assert set((await _of(gateway, accounts)).values()) == {1}


async def _of(gateway: Gateway, values: list[str]) -> dict[str, int]:
    query = list_entries.select().where(list_entries.c.value.in_(values))
    rows = await gateway.runtime.books.read(lambda conn: conn.execute(query).all())
    return {row.value: row.version for row in rows}
