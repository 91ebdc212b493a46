"""Dead letters over HTTP: an admin sees them page by page, and has their records sent again."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from connectors import dead_letters
from connectors.records import Record, dead_letter, out
from gateway.app import create_app
from gateway.events import dead_letters as desk
from gateway.settings import GatewaySettings
from schemas.events import new_event
from schemas.fraud import Label
from schemas.times import now
from tests.gateway.conftest import Gateway
from tests.gateway.payments.test_keyed_routes import sent

LABEL = Label("pay_1", "fp_1", "acc_1", "good", "test", 100, "EUR", None, None, "m", now(), now())
ABSENT = Record("labels.v1", 0, 10**9, b"fp_1", [], b"?", 0)


@pytest.fixture
async def served(gateway_settings: GatewaySettings, kafka: str) -> AsyncIterator[Gateway]:
    """A gateway with a broker."""
    app = create_app(msgspec.structs.replace(gateway_settings, kafka=kafka))
    async with app.test_app():
        yield Gateway(app)


async def test_an_admin_lists_and_replays_them(served: Gateway, kafka: str) -> None:
    event = new_event("label.recorded", "/test", "pay_1", LABEL, now())
    written = out("labels.v1", "fp_1", event)
    readable = msgspec.structs.replace(ABSENT, value=written.value, headers=written.headers)
    ids = [sent(kafka, dead_letter(each, "malformed", "/flows/test")) for each in (ABSENT, readable)]
    first = (await served.ask("GET", "/v1/dead-letters?limit=1", who="admin")).json
    again = (await served.ask("GET", f"/v1/dead-letters?limit=1&cursor={first['next_cursor']}", who="admin")).json
    assert [letter["id"] for page in (first, again) for letter in page["data"]] == ids[::-1]
    assert {name: first["data"][0][name] for name in ("topic", "offset", "reason", "source")} == {
        "topic": "labels.v1",
        "offset": 10**9,
        "reason": "malformed",
        "source": "/flows/test",
    }
    outcomes = []
    for letter_id in (*ids, ids[1]):
        path = f"/v1/dead-letters/{letter_id}/replay"
        done = await served.ask("POST", path, {}, "admin", idempotency_key=letter_id)
        outcomes.append(done.json["outcome"])
    assert outcomes == ["unreadable", "sent", "sent"]
    acts = (await served.ask("GET", "/v1/audit?kind=dead_letter_replayed", who="admin")).json["data"]
    assert [(act["subject"], act["detail"]["outcome"]) for act in acts] == [
        (ids[1], "sent"),
        (ids[0], "unreadable"),
    ]
    missing = await served.ask("POST", "/v1/dead-letters/dl_0_999999999/replay", {}, "admin")
    assert missing.code == "not_found"


async def test_who_waits_too_long_for_another_ones_page_is_refused(
    served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "WAITS_S", 0.05)
    async with served.runtime.dead_letters._free:
        refused = await served.ask("GET", "/v1/dead-letters", who="admin")
    assert (refused.status, refused.code) == (503, "unavailable")
    assert (await served.ask("GET", "/v1/dead-letters", who="admin")).status == 200
    assert (await served.ask("GET", "/v1/dead-letters?cursor=made-up", who="admin")).code == "invalid_request"


async def test_a_kafka_that_goes_away_in_the_middle_is_a_503(
    served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "is_listening", lambda _bootstrap: False)
    assert (await served.ask("GET", "/v1/dead-letters", who="admin")).code == "unavailable"
