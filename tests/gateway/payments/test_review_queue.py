"""The queue of reviews over HTTP: pages whose place stays where it was, whatever is decided meanwhile."""

from typing import Any

from tests.gateway.payments.conftest import Shop


async def page(shop: Shop, cursor: str = "") -> Any:
    return await shop.get(f"/v1/reviews?limit=2&cursor={cursor}", "analyst")


async def test_a_review_tells_who_decided_it_and_why(shop: Shop) -> None:
    assert (await shop.pay(60_000)).json["state"] == "in_review"
    (review,) = (await page(shop))["data"]
    path = f"/v1/reviews/{review['id']}"
    assert await shop.get(path, "analyst") == review
    decided = await shop.post(f"{path}/decision", {"decision": "reject", "reason": "stolen"}, who="analyst")
    after = await shop.get(path, "admin")
    me = await shop.get("/v1/me", "analyst")
    assert (after["decision"], after["reason"], after["decided_by"]) == ("reject", "stolen", me["id"])
    assert decided.json == after | {"decided_at": decided.json["decided_at"]}
    assert (await shop.gateway.ask("GET", "/v1/reviews/rev_nowhere", who="analyst")).status == 404
    assert (await shop.gateway.ask("GET", path, who="customer")).status == 403


async def test_no_open_review_is_lost_when_the_cursors_own_was_decided(shop: Shop) -> None:
    for _ in range(5):
        assert (await shop.pay(60_000)).json["state"] == "in_review"
    first = await page(shop)
    kept, last = first["data"]
    for review in (last, kept):
        body = {"decision": "reject", "reason": "stolen"}
        assert (await shop.post(f"/v1/reviews/{review['id']}/decision", body, who="analyst")).status == 200
    seen, cursor = list[Any](), first["next_cursor"]
    while cursor is not None:
        more = await page(shop, cursor)
        seen, cursor = seen + more["data"], more["next_cursor"]
    still_open = [review for review in seen if "decision" not in review]
    assert len(still_open) == 3
    assert [review["id"] for review in seen[3:]] == [kept["id"], last["id"]]


async def test_who_decided_what_is_in_the_audit_once_however_often_it_is_sent(shop: Shop) -> None:
    paid = (await shop.pay(60_000)).json
    review = (await page(shop))["data"][0]
    for _ in range(2):
        body = {"decision": "reject", "reason": "stolen"}
        await shop.post(f"/v1/reviews/{review['id']}/decision", body, who="analyst", key="k1")
    (told,) = (await shop.get(f"/v1/audit?subject={review['id']}", "admin"))["data"]
    assert told["actor"] == (await shop.get("/v1/me", "analyst"))["id"]
    assert (told["kind"], told["detail"]) == ("review_decided", {"decision": "reject", "payment": paid["id"]})
