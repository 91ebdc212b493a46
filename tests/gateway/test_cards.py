"""The routes of cards: what a client sends, sees, and is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from gateway.books import cards as book
from gateway.routes.cards import CardView, NewCard, wrong_fields
from gateway.vault.client import CardUnknown
from schemas.cards import check_digit
from schemas.ids import new_id
from tests.patience import eventually

VISA = "4111111111111111"
MASTERCARD = "5555555555554444"
HUGE = "ks___________6F4"  # a place of 2**64 - 1, which no database holds
CARD = {"number": VISA, "exp_month": 1, "exp_year": 2039}


@pytest.fixture
def numbers() -> list[str]:
    """Eight different numbers."""
    payloads = [f"52000000000000{i}" for i in range(8)]
    return [payload + check_digit(payload) for payload in payloads]


def test_the_view_has_what_the_contract_says_and_no_more() -> None:
    assert CardView.__struct_fields__ == (
        "id",
        "brand",
        "bin",
        "last4",
        "exp_month",
        "exp_year",
        "fingerprint",
    )


async def test_a_card_is_kept_and_shown_without_its_number(gateway: Any) -> None:
    for number, brand in (
        (VISA, "visa"),
        ("4222222222222", "visa"),
        ("4000000000000000006", "visa"),
        (MASTERCARD, "mastercard"),
    ):
        made = await gateway.ask(
            "POST", "/v1/cards", CARD | {"number": number, "name": "Ada Lovelace"}, who="customer"
        )
        assert made.status == 201
        shown = await gateway.ask("GET", f"/v1/cards/{made.json['id']}", who="customer")
        assert (shown.status, shown.json) == (200, made.json)
        card = made.json
        assert card.pop("id").startswith("card_")
        assert card.pop("fingerprint").startswith("fp_")
        assert card == {
            "brand": brand,
            "bin": number[:6],
            "last4": number[-4:],
            "exp_month": 1,
            "exp_year": 2039,
        }


async def test_the_same_number_keeps_its_token_and_takes_the_new_expiry(gateway: Any) -> None:
    first = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    again = await gateway.ask("POST", "/v1/cards", CARD | {"exp_month": 7, "exp_year": 2041}, who="customer")
    assert again.status == 201
    assert again.json == first | {"exp_month": 7, "exp_year": 2041}
    listed = (await gateway.ask("GET", "/v1/cards", who="customer")).json
    assert listed == {"data": [again.json], "next_cursor": None}
    owner = (await gateway.ask("GET", "/v1/me", who="customer")).json["id"]
    opened = await gateway.runtime.vault.open(first["id"], owner, new_id("op"))
    assert (opened.details.exp_month, opened.details.exp_year) == (7, 2041)


async def test_another_owners_card_is_not_there(gateway: Any) -> None:
    card = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    path = f"/v1/cards/{card['id']}"
    for who in ("merchant", "admin"):
        for method in ("GET", "DELETE"):
            refused = await gateway.ask(method, path, who=who)
            assert (refused.status, refused.code) == (404, "not_found")
        assert (await gateway.ask("GET", "/v1/cards", who=who)).json["data"] == []
    assert (await gateway.ask("GET", path, who="customer")).status == 200
    theirs = (await gateway.ask("POST", "/v1/cards", CARD, who="merchant")).json
    assert theirs["id"] != card["id"]
    assert theirs["fingerprint"] != card["fingerprint"], "it is made for its owner"


async def test_a_deleted_card_is_gone_everywhere_and_its_number_begins_anew(gateway: Any) -> None:
    card = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    owner = (await gateway.ask("GET", "/v1/me", who="customer")).json["id"]
    gone = await gateway.ask("DELETE", f"/v1/cards/{card['id']}", who="customer")
    assert (gone.status, gone.body) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await gateway.ask(method, f"/v1/cards/{card['id']}", who="customer")).code == "not_found"
    assert (await gateway.ask("GET", "/v1/cards", who="customer")).json["data"] == []
    with pytest.raises(CardUnknown):
        await gateway.runtime.vault.open(card["id"], owner, new_id("op"))
    anew = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    assert anew["id"] != card["id"]


async def test_a_store_that_lost_a_race_with_a_delete_does_not_bring_the_card_back(gateway: Any) -> None:
    made = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    owner = (await gateway.ask("GET", "/v1/me", who="customer")).json["id"]
    row = await gateway.runtime.books.read(book.select_card, made["id"], owner)
    await gateway.ask("DELETE", f"/v1/cards/{made['id']}", who="customer")
    await gateway.runtime.books.write(book.upsert_card, row)
    assert await gateway.runtime.books.read(book.select_card, made["id"], owner) is None


async def test_a_delete_that_broke_off_half_way_can_be_asked_again(gateway: Any) -> None:
    made = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    owner = (await gateway.ask("GET", "/v1/me", who="customer")).json["id"]
    await gateway.runtime.vault.delete(made["id"], owner)  # and then the gateway was killed
    assert (await gateway.ask("DELETE", f"/v1/cards/{made['id']}", who="customer")).status == 204


async def test_pages_show_every_card_once_the_newest_first(gateway: Any, numbers: list[str]) -> None:
    made = [
        (await gateway.ask("POST", "/v1/cards", CARD | {"number": each}, who="customer")).json for each in numbers
    ]
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = (
            await gateway.ask("GET", f"/v1/cards?limit=3{cursor and f'&cursor={cursor}'}", who="customer")
        ).json
        assert len(page["data"]) <= 3
        seen, cursor, pages = seen + page["data"], page["next_cursor"], pages + 1
    assert seen == made[::-1]
    assert pages == 3


async def test_the_cursor_of_another_owner_is_refused(gateway: Any) -> None:
    for number in (VISA, MASTERCARD):
        await gateway.ask("POST", "/v1/cards", CARD | {"number": number}, who="merchant")
    cursor = (await gateway.ask("GET", "/v1/cards?limit=1", who="merchant")).json["next_cursor"]
    refused = await gateway.ask("GET", f"/v1/cards?cursor={cursor}", who="customer")
    assert (refused.status, refused.json["errors"][0]["path"]) == (422, "$.cursor")


@pytest.mark.parametrize("path", ["/v1/cards", "/v1/payments", "/v1/reviews"])
async def test_a_made_up_cursor_is_refused_and_an_empty_one_is_the_first_page(gateway: Any, path: str) -> None:
    for cursor in ("card_none", "pay_1", "%00", "AAAA", "wA", "%C3%A9", HUGE):
        answer = await gateway.ask("GET", f"{path}?cursor={cursor}", who="admin")
        assert (answer.status, answer.json["errors"][0]["path"]) == (422, "$.cursor"), cursor
    assert (await gateway.ask("GET", f"{path}?cursor=", who="admin")).status == 200


async def test_a_page_that_cannot_be_is_refused(gateway: Any) -> None:
    for query in ("limit=0", "limit=101", "limit=ten", "page=2", f"cursor={'x' * 257}"):
        refused = await gateway.ask("GET", f"/v1/cards?{query}", who="customer")
        assert (refused.status, refused.code) == (422, "invalid_request"), query


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"number": "4111 1111 1111 1111"}, "$.number"),
    ({"number": "4111-1111-1111-1111"}, "$.number"),
    ({"number": "4111111111111112"}, "$.number"),  # the check digit
    ({"number": "411111111111"}, "$.number"),
    ({"number": "41111111111111111114"}, "$.number"),
    ({"number": "0000000000000000"}, "$.number"),
    ({"number": "378282246310005"}, "$.number"),  # a brand we do not take
    ({"number": "４１１１１１１１１１１１１１１１"}, "$.number"),
    ({"number": "\u202e4111111111111111"}, "$.number"),
    ({"number": "4111111111111111\n"}, "$.number"),
    ({"number": ""}, "$.number"),
    ({"number": 4111111111111111}, "$.number"),
    ({"number": None}, "$.number"),
    ({"exp_month": 0}, "$.exp_month"),
    ({"exp_month": 13}, "$.exp_month"),
    ({"exp_month": "01"}, "$.exp_month"),
    ({"exp_year": 39}, "$.exp_year"),
    ({"exp_year": 2020}, "$.exp_year"),
    ({"exp_year": 9999}, "$.exp_year"),
    ({"name": VISA}, "$.name"),
    ({"name": "x" * 201}, "$.name"),
    ({"cvc": "987"}, "$.cvc"),
    ({VISA: "x"}, "$"),
    ({"number": "4111111111111112", "exp_year": 2020}, "$.number $.exp_year"),  # all at once
]
CHANCE = {"milliseconds", "timestamp", "trace", "request_id"}  # what may have any digits in it
QUOTES = (VISA, VISA[6:], "4111 1111", "4111-1111", "987", "378282246310005", "４１１１")


async def test_what_is_wrong_is_named_and_never_quoted(gateway: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, paths in WRONG:
        refused = await gateway.ask("POST", "/v1/cards", CARD | wrong, who="customer")
        assert (refused.status, refused.code) == (422, "invalid_request"), paths
        assert [each["path"] for each in refused.json["errors"]] == paths.split()
        said = (refused.body.decode() + str(refused.headers)).replace(refused.headers["Request-Id"], "")
        assert [quote for quote in QUOTES if quote in said] == []
    for missing in CARD:
        body = {name: value for name, value in CARD.items() if name != missing}
        refused = await gateway.ask("POST", "/v1/cards", body, who="customer")
        assert [each["path"] for each in refused.json["errors"]] == [f"$.{missing}"]
    lines: list[dict[str, Any]] = []

    def all_logged() -> bool:  # the access log's lines come a moment later
        lines.extend(json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{")
        return len(lines) >= len(WRONG) + len(CARD)

    await eventually(all_logged)
    shown = str([{name: line[name] for name in line.keys() - CHANCE} for line in lines])
    assert [quote for quote in QUOTES if quote in shown] == []
    assert (await gateway.ask("GET", "/v1/cards", who="customer")).json["data"] == []


async def test_the_same_key_answers_the_same_bytes_and_another_card_is_refused(gateway: Any) -> None:
    first = await gateway.ask("POST", "/v1/cards", CARD, who="customer", idempotency_key="k1")
    again = await gateway.ask("POST", "/v1/cards", CARD, who="customer", idempotency_key="k1")
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = CARD | {"number": MASTERCARD}
    refused = await gateway.ask("POST", "/v1/cards", other, who="customer", idempotency_key="k1")
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")


async def test_who_has_no_cards_may_not_keep_any(gateway: Any) -> None:
    for method, path in (
        ("POST", "/v1/cards"),
        ("GET", "/v1/cards"),
        ("GET", "/v1/cards/x"),
        ("DELETE", "/v1/cards/x"),
    ):
        body = CARD if method == "POST" else None
        assert (await gateway.ask(method, path, body)).code == "unauthenticated"
        assert (await gateway.ask(method, path, body, who="analyst")).code == "forbidden"


def test_a_card_is_good_to_the_end_of_its_month_wherever_on_earth() -> None:
    card = NewCard(VISA, 2, 2028)
    assert wrong_fields(card, datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)) == []
    assert wrong_fields(card, datetime(2028, 3, 1, 11, 59, 59, tzinfo=UTC)) == []  # in UTC-12 it is February
    assert [each.path for each in wrong_fields(card, datetime(2028, 3, 1, 12, tzinfo=UTC))] == ["$.exp_year"]
    new_year = datetime(2028, 1, 1, 11, tzinfo=UTC)
    assert wrong_fields(NewCard(VISA, 12, 2027), new_year) == []
    assert wrong_fields(NewCard(VISA, 11, 2027), new_year) != []
    assert wrong_fields(NewCard(VISA, 1, 2029), datetime(2028, 12, 1, tzinfo=UTC)) == []


async def test_an_erased_account_leaves_no_card_in_the_vault(gateway: Any) -> None:
    token = await gateway.sign_up()  # the vault forgets a person for all tests
    card = (await gateway.ask("POST", "/v1/cards", CARD, who=token)).json["id"]
    owner = (await gateway.ask("GET", "/v1/me", who=token)).json["id"]
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    with pytest.raises(CardUnknown):
        await gateway.runtime.vault.open(card, owner, new_id("op"))


def test_a_card_on_its_way_shows_nothing_of_itself() -> None:
    card = NewCard(VISA, 1, 2039, "Ada")
    with structlog.testing.capture_logs() as lines:
        structlog.get_logger().info("seen", card=repr(card), text=f"{card}", many=str([card]))
    assert VISA not in str(lines)
    assert "Ada" not in str(lines)
