"""The gateway reads `alerts.v1` over a real broker: staff list what anybody raised, and the metrics count it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.kafka import producer
from gateway.app import create_app
from gateway.events.alerts_inbox import ALERTS_KEPT, AlertsInbox
from gateway.settings import GatewaySettings
from schemas.alerts import LABEL_BURST, LABEL_DRIFT, Alert
from schemas.events import encode, new_event
from schemas.ids import new_id
from schemas.times import now
from schemas.topics import ALERTS
from tests.gateway.conftest import Gateway
from tests.patience import eventually


def raised(kind: str = LABEL_DRIFT, **changes: Any) -> Alert:
    alert = Alert(new_id("alr"), 1, kind, "bank", "fraud", {"share": 0.05}, now(), now())
    return msgspec.structs.replace(alert, **changes)


def ended(alert: Alert) -> Alert:
    return msgspec.structs.replace(alert, sequence=2, recorded_at=now(), over_at=now())


def tell(kafka: str, *alerts: Alert) -> None:
    """Write alerts; return once the broker has them."""
    writer = producer(kafka)
    for alert in alerts:
        headers, value = encode(new_event("alert.raised", "/test", alert.id, alert, now()))
        writer.produce(ALERTS.name, value, alert.id, headers=headers)
    writer.flush(10)


@pytest.fixture
async def served(gateway_settings: GatewaySettings, kafka: str) -> AsyncIterator[Gateway]:
    """A gateway with a broker."""
    app = create_app(msgspec.structs.replace(gateway_settings, kafka=kafka))
    async with app.test_app():
        yield Gateway(app)


async def ids_of(served: Gateway, query: str = "") -> list[str]:
    answer = await served.ask("GET", f"/v1/alerts?limit=100{query}", who="analyst")
    return [each["id"] for each in answer.json["data"]] if answer.status == 200 else []


async def test_analysts_see_what_was_raised_before_and_since_the_newest_first(served: Gateway, kafka: str) -> None:
    first, second = raised(LABEL_BURST), raised(recorded_at=now() + timedelta(seconds=1))
    tell(kafka, first, second, ended(first), first)  # an older event of an alert changes nothing

    async def both_known() -> bool:
        return {first.id, second.id} <= set(await ids_of(served))

    await eventually(both_known)
    assert [id for id in await ids_of(served) if id in (first.id, second.id)] == [second.id, first.id]
    assert first.id in await ids_of(served, f"&status=over&kind={LABEL_BURST}")
    assert first.id not in await ids_of(served, "&status=standing")
    assert second.id in await ids_of(served, "&status=standing")
    page = (await served.ask("GET", "/v1/alerts?limit=1", who="analyst")).json
    further = (await served.ask("GET", f"/v1/alerts?limit=1&cursor={page['next_cursor']}", who="analyst")).json
    assert [page["data"][0]["id"], further["data"][0]["id"]] == (await ids_of(served))[:2]
    assert {name: page["data"][0][name] for name in ("kind", "subject", "source", "facts", "over_at")} == {
        "kind": LABEL_DRIFT,
        "subject": "bank",
        "source": "fraud",
        "facts": {"share": 0.05},
        "over_at": None,
    }


async def test_the_metrics_count_what_stands_and_what_is_raised_since_the_start(
    served: Gateway, kafka: str
) -> None:
    async def is_read() -> bool:
        return (await served.ask("GET", "/v1/alerts", who="analyst")).status == 200

    await eventually(is_read)
    before = await metric(served, f'sluice_alerts_standing{{kind="{LABEL_DRIFT}"}}')
    standing, over = raised(), raised()
    old = raised(recorded_at=now() - timedelta(hours=25))
    tell(kafka, standing, over, ended(over), old, raised("some_kind_of_later"))

    async def counted() -> bool:
        return await metric(served, f'sluice_alerts_raised_total{{kind="{LABEL_DRIFT}"}}') == 3

    await eventually(counted)
    assert await metric(served, f'sluice_alerts_standing{{kind="{LABEL_DRIFT}"}}') == before + 1
    assert await metric(served, 'sluice_alerts_raised_total{kind="other"}') == 1


async def metric(served: Gateway, name: str) -> float:
    lines = (await served.ask("GET", "/metrics")).body.decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


async def test_memory_is_bounded_by_the_newest_and_by_what_one_may_say() -> None:
    refused: list[str] = []
    inbox = AlertsInbox("localhost:1", lambda _kind: None, refused.append)
    inbox._was_read.set()
    made = [raised(recorded_at=now() + timedelta(seconds=number)) for number in range(ALERTS_KEPT + 5)]
    inbox._keep([*made, raised(subject="x" * 5_000)])
    assert refused == ["size"]
    assert [each.alert.id for each in inbox.newest()] == [alert.id for alert in made[:4:-1]]
    await inbox.close()
