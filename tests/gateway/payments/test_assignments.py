"""Reviews that are taken: one at a time has one, for fifteen minutes, and decides it."""

import asyncio
from typing import Any

from sqlalchemy import Connection

from gateway.books.assignments import HELD_US
from gateway.books.payments import existing_payment
from gateway.payments.held import end_review
from schemas.times import steady_micros
from tests.gateway.actors import Actors
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop

REJECT = {"decision": "reject", "reason": "stolen"}


async def held(shop: Shop, amount: int = 60_000) -> str:
    """The id of a review that was opened just now."""
    assert (await shop.pay(amount)).json["state"] == "in_review"
    return str((await shop.get("/v1/reviews?limit=1", "analyst"))["data"][0]["id"])


async def colleague(shop: Shop) -> str:
    """The token of a second analyst."""
    return (await Actors(shop.gateway).new("analyst")).token


async def take(shop: Shop, review: str, who: str = "analyst", how: str = "PUT") -> Answer:
    return await shop.gateway.ask(how, f"/v1/reviews/{review}/assignment", who=who)


async def decide(shop: Shop, review: str, who: str) -> Answer:
    return await shop.post(f"/v1/reviews/{review}/decision", REJECT, who=who)


async def let_pass(shop: Shop, share: float) -> None:
    """As if this share of the fifteen minutes had passed."""

    def earlier(conn: Connection) -> None:
        conn.exec_driver_sql(f"UPDATE reviews SET assigned_until = assigned_until - {int(HELD_US * share)}")

    await shop.gateway.runtime.books.write(earlier)


async def seconds_left(shop: Shop, review: str) -> float:
    def until(conn: Connection) -> Any:
        return conn.exec_driver_sql(f"SELECT assigned_until FROM reviews WHERE id = '{review}'").scalar()

    return float((await shop.gateway.runtime.books.read(until) - steady_micros()) / 1e6)


async def test_a_review_that_is_taken_is_its_takers_to_decide(shop: Shop) -> None:
    review, other = await held(shop), await colleague(shop)
    taken = await take(shop, review)
    assert (taken.status, taken.json["assigned_to"]) == (200, await shop.account("analyst"))
    for refused in (await take(shop, review, other), await decide(shop, review, other)):
        assert (refused.status, refused.code) == (409, "assigned")
    assert (await take(shop, review, other, "DELETE")).code == "assigned"
    shown = await shop.get(f"/v1/reviews/{review}", "admin")
    assert (shown["assigned_to"], shown["assigned_until"]) == (taken.json["assigned_to"], shown["assigned_until"])
    decided = await decide(shop, review, "analyst")
    assert (decided.status, decided.json.get("assigned_to")) == (200, None)
    assert (await take(shop, review)).code == "wrong_state"
    assert (await take(shop, "rev_nowhere")).status == 404


async def test_of_two_who_take_at_once_one_has_it(shop: Shop) -> None:
    review, other = await held(shop), await colleague(shop)
    both = await asyncio.gather(take(shop, review), take(shop, review, other))
    assert sorted(answer.status for answer in both) == [200, 409]
    both = await asyncio.gather(decide(shop, review, "analyst"), decide(shop, review, other))
    assert sorted(answer.status for answer in both) == [200, 409]


async def test_what_is_given_back_or_forgotten_is_anybodys(shop: Shop) -> None:
    review, other = await held(shop), await colleague(shop)
    await take(shop, review)
    assert (await take(shop, review, how="DELETE")).status == 204
    assert (await take(shop, review, how="DELETE")).status == 204
    assert (await take(shop, review, other)).status == 200
    await let_pass(shop, 1)
    assert "assigned_to" not in await shop.get(f"/v1/reviews/{review}", "analyst")
    assert (await shop.get("/v1/reviews?mine=true", other))["data"] == []
    assert (await take(shop, review)).status == 200


async def test_use_renews_all_that_one_has_taken(shop: Shop) -> None:
    first, second = await held(shop), await held(shop)
    for review in (first, second):
        await take(shop, review)
    await let_pass(shop, 0.9)
    assert (await take(shop, first)).status == 200
    assert await seconds_left(shop, first) > 890 > 100 > await seconds_left(shop, second)
    await decide(shop, first, "analyst")
    assert await seconds_left(shop, second) > 890
    mine = (await shop.get("/v1/reviews?mine=true&order=expected_loss", "analyst"))["data"]
    assert [review["id"] for review in mine] == [second]


async def test_an_admin_takes_over_and_the_audit_says_from_whom(shop: Shop) -> None:
    review, me = await held(shop), await shop.account("analyst")
    await take(shop, review)
    await take(shop, review)  # renewed: no entry
    assert (await decide(shop, review, "admin")).code == "assigned"
    assert (await take(shop, review, "admin")).json["assigned_to"] == await shop.account("admin")
    assert (await decide(shop, review, "analyst")).code == "assigned"
    await take(shop, review, "admin", "DELETE")
    told = (await shop.get(f"/v1/audit?subject={review}", "admin"))["data"]
    shown = [(entry["kind"], entry["detail"].get("from")) for entry in told[::-1]]
    admin = await shop.account("admin")
    assert shown == [("review_taken", None), ("review_taken", me), ("review_given_back", admin)]


async def test_what_nobody_decides_in_time_ends_whoever_has_taken_it(shop: Shop) -> None:
    """A late block or the time limit asks nobody: `by` is no account."""
    review = await held(shop)
    await take(shop, review)

    def expire(conn: Connection) -> bool:
        payment_id = conn.exec_driver_sql(f"SELECT payment_id FROM reviews WHERE id = '{review}'").scalar()
        payment = existing_payment(conn, str(payment_id))
        return end_review(conn, payment, review, "reject", "expired", None, 1)

    shop.told = False
    assert await shop.gateway.runtime.books.write(expire)
