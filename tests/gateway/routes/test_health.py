"""Whether it lives, whether it is ready, what it measures."""

import asyncio
import threading
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import Connection
from structlog.contextvars import get_contextvars

from gateway.books.opening import run_once
from gateway.books.outbox import add_event
from gateway.books.personal_books import PersonalBooks
from gateway.books.sqlite import SqliteBooks
from gateway.books.write_probe import WriteProbe
from gateway.rate_limits import LIMITS, RateLimit
from gateway.vault.addresses import UnixAddress
from schemas.samples import INITIATED
from schemas.times import now_micros
from tests.gateway.conftest import Gateway
from tests.gateway.databases import Kind
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_lives_without_kafka(gateway: Gateway) -> None:
    answer = await gateway.ask("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("inbox", ["verdicts", "controls"])
async def test_it_is_ready_without_kafka_once_it_stopped_waiting_for_what_stood_there(
    gateway: Gateway, inbox: str
) -> None:
    runtime = gateway.runtime
    caught_up = {"verdicts": runtime.verdicts._topic._caught_up, "controls": runtime.controls._topic._caught_up}
    for event in caught_up.values():
        event.set()  # as ten seconds without Kafka do
    caught_up[inbox].clear()
    assert (await gateway.ask("GET", "/readyz")).code == "unavailable"
    caught_up[inbox].set()
    assert (await gateway.ask("GET", "/readyz")).status == 200


@pytest.mark.parametrize("check", ["fails", "says no", "hangs"])
async def test_one_check_that_is_not_well_makes_it_unready(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    async def unwell() -> bool:
        if check == "fails":
            raise OSError
        if check == "hangs":
            await asyncio.sleep(60)
        return False

    monkeypatch.setattr("gateway.routes.health.READY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(gateway.runtime, "ready", [unwell])
    answer = await gateway.ask("GET", "/readyz")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"]


async def test_the_vault_away_makes_it_unready(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.runtime, "ready", [gateway.runtime.vault_answers])
    assert (await gateway.ask("GET", "/readyz")).status == 200
    await gateway.runtime.vault.close()
    nowhere = UnixAddress(gateway.runtime.settings.data / "no.sock")
    monkeypatch.setattr(gateway.runtime.vault, "_addresses", [nowhere])
    assert (await gateway.ask("GET", "/readyz")).status == 503


async def test_however_often_readiness_is_asked_for_it_writes_once_in_its_time(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, written = gateway.runtime.books, 0
    write = books.write

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal written
        written += "request_id" in get_contextvars()  # what the gateway does all the time is of no request
        return await write(*args, **kwargs)

    monkeypatch.setattr(books, "write", counted)
    monkeypatch.setattr(gateway.runtime, "ready", [WriteProbe(books).answers])
    monkeypatch.setattr("gateway.books.write_probe.EVERY_S", 600.0)
    answers = await asyncio.gather(*[gateway.ask("GET", "/readyz") for _ in range(50)])
    assert ({answer.status for answer in answers}, written) == ({200}, 1)
    monkeypatch.setattr("gateway.books.write_probe.EVERY_S", 0.0)
    assert (await gateway.ask("GET", "/readyz")).status == 200
    assert written == 2


async def test_books_that_take_no_write_make_it_unready_and_come_back(
    gateway: Gateway, database: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routes.health.READY_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.books.write_probe.EVERY_S", 0.0)
    assert await is_ready(gateway)
    held, released = threading.Event(), threading.Event()
    holding = asyncio.create_task(asyncio.to_thread(hold, gateway, database, held, released))
    await asyncio.to_thread(held.wait)
    assert (await gateway.ask("GET", "/readyz")).status == 503
    released.set()
    await holding
    await eventually(lambda: is_ready(gateway))


def hold(gateway: Gateway, database: Kind, held: threading.Event, released: threading.Event) -> None:
    """As a disk or a lock does that is stuck; what reads only is not in its way."""

    def wait(*_: object) -> None:
        held.set()
        released.wait()

    def wait_with_the_row(conn: Connection) -> None:
        conn.exec_driver_sql("UPDATE probed_writes SET written_at = 0")
        wait()

    if database == "sqlite":
        cast(SqliteBooks, cast(PersonalBooks, gateway.runtime.books)._books)._disk.submit(wait).result()
    else:
        run_once(gateway.runtime.settings.books_url(), wait_with_the_row)


async def test_readiness_has_a_limit_by_address(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.runtime, "ready", [])
    monkeypatch.setitem(LIMITS, "probes", RateLimit(0.01, 2))
    answers = [await gateway.ask("GET", "/readyz", ip=f"2001:db8::{n}") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"]
    assert (await gateway.ask("GET", "/readyz", ip="2001:db8:1::1")).status == 200


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "10.1.2.3"])
async def test_metrics_are_for_this_machine_and_the_operators_networks(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, ip: str
) -> None:
    allowed = msgspec.structs.replace(gateway.runtime.settings, metrics_from="10.0.0.0/8, 192.0.2.1")
    monkeypatch.setattr(gateway.runtime, "settings", allowed)
    assert (await gateway.ask("GET", "/metrics", ip=ip)).status == 200


@pytest.mark.parametrize(
    ("ip", "headers"),
    [
        *[(ip, {}) for ip in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "10.1.2.3", "unknown")],
        *[("127.0.0.1", {header: "192.0.2.1"}) for header in ("x_forwarded_for", "forwarded")],
    ],
)
async def test_metrics_are_for_nobody_else(gateway: Gateway, ip: str, headers: dict[str, str]) -> None:
    """Not by way of a proxy on this machine either."""
    answer = await gateway.ask("GET", "/metrics", ip=ip, **headers)
    assert (answer.status, answer.code) == (403, "forbidden")


async def is_ready(gateway: Gateway) -> bool:
    return (await gateway.ask("GET", "/readyz")).status == 200


async def test_metrics_count_by_rule_and_never_by_path(gateway: Gateway) -> None:
    await gateway.ask("GET", "/v1/cards/card_secretly", who="customer")
    await gateway.ask("GET", "/scanner/was/here")
    text = (await gateway.ask("GET", "/metrics")).body.decode()
    assert 'sluice_http_requests_total{method="GET",rule="/v1/cards/<card>",status="404"} 1.0' in text
    assert 'rule="unmatched"' in text
    assert "secretly" not in text
    assert "scanner" not in text
    assert "process_resident_memory_bytes" in text


async def test_metrics_say_how_far_kafka_is_behind(gateway: Gateway) -> None:
    await gateway.runtime.books.write(lambda conn: conn.exec_driver_sql("DELETE FROM outbox") and None)
    text = (await gateway.ask("GET", "/metrics")).body.decode()
    assert "sluice_outbox_rows 0.0" in text
    assert "sluice_outbox_seconds 0.0" in text
    for sequence in (1, 2):
        recorded = now_micros() - 60_000_000
        await gateway.runtime.books.write(
            add_event,
            topic="payments.v1",
            key="k",
            type="t",
            subject_id="pay_1",
            sequence=sequence,
            data=INITIATED,
            traceparent=None,
            now=recorded,
        )
    text = (await gateway.ask("GET", "/metrics")).body.decode()
    assert "sluice_outbox_rows 2.0" in text
    assert float(text.split("\nsluice_outbox_seconds ")[1].split()[0]) >= 60
