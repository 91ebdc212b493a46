"""Stops as administrators make, see and lift them, and what is kept of that."""

from typing import Any

import pytest

from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def post(gateway: Gateway, body: dict[str, Any], **headers: str) -> Answer:
    return await gateway.ask("POST", "/v1/stops", {"reason": "they decline all", **body}, "admin", **headers)


async def listed(gateway: Gateway, who: str = "analyst") -> list[Any]:
    data: list[Any] = (await gateway.ask("GET", "/v1/stops?limit=100", who=who)).json["data"]
    return data


async def test_a_stop_says_who_when_and_why_and_the_audit_keeps_it(gateway: Gateway) -> None:
    admin_id = (await gateway.ask("GET", "/v1/me", who="admin")).json["id"]
    made = await post(gateway, {"processor": "visa"})
    shown = made.json
    assert made.status == 201
    assert (shown["processor"], shown["reason"], shown["stopped_by"]) == ("visa", "they decline all", admin_id)
    assert "merchant" not in shown
    assert "all" not in shown
    again = await post(gateway, {"processor": "visa", "reason": "me too"})
    assert (again.status, again.json) == (200, shown)
    assert shown in await listed(gateway)
    metrics = (await gateway.ask("GET", "/metrics")).body.decode()
    assert f"sluice_stops {len(await listed(gateway))}.0" in metrics
    path = f"/v1/stops/{shown['id']}"
    assert (await gateway.ask("DELETE", path, who="admin")).status == 204
    assert (await gateway.ask("DELETE", path, who="admin")).code == "not_found"
    assert shown not in await listed(gateway)
    acts = (await gateway.ask("GET", "/v1/audit?subject=visa", who="admin")).json["data"]
    assert [(act["kind"], act["actor"], act["detail"]) for act in acts] == [
        ("sales_resumed", admin_id, {"stop": shown["id"]}),
        ("sales_stopped", admin_id, {"stop": shown["id"], "reason": "they decline all"}),
    ]


async def test_a_key_is_answered_with_the_same_bytes_whatever_stands_now(gateway: Gateway) -> None:
    made = await post(gateway, {"all": True}, idempotency_key="stop-all")
    assert (await gateway.ask("DELETE", f"/v1/stops/{made.json['id']}", who="admin")).status == 204
    again = await post(gateway, {"all": True}, idempotency_key="stop-all")
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (201, made.body, "true")
    assert not any(stop.get("all") for stop in await listed(gateway))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"all": False}, "invalid_request"),
        ({"all": True, "processor": "visa"}, "invalid_request"),
        ({"processor": "amex"}, "invalid_request"),
        ({"processor": "visa", "reason": ""}, "invalid_request"),
        ({"processor": "visa", "reason": "of 4111111111111111"}, "invalid_request"),
        ({"merchant": "acc_nobody"}, "not_found"),
        ({"merchant": "visa"}, "not_found"),
        ({"merchant": "all"}, "not_found"),
    ],
)
async def test_what_cannot_be_meant_stops_nothing(gateway: Gateway, body: dict[str, Any], code: str) -> None:
    before = await listed(gateway)
    assert (await post(gateway, body)).code == code
    assert await listed(gateway) == before
