"""The probes, against real processes and sockets."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from connectors.heartbeat import Beat, beat
from connectors.kafka_login import login
from schemas.settings import Settings
from schemas.times import boot_micros
from sluice import probes
from sluice.broker import is_open
from sluice.own_kafka import set_up
from sluice.settings import StackSettings
from tests.patience import eventually

PID = os.getpid()


@asynccontextmanager
async def answering(port: int, answer: bytes) -> AsyncIterator[None]:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(reply, "localhost", port):
        yield


@pytest.mark.parametrize(
    ("answer", "is_ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", False),
        (b"", False),
        (b"\r\n", False),
    ],
)
async def test_http(
    free_ports: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch, answer: bytes, is_ready: bool
) -> None:
    monkeypatch.setattr(probes, "PATIENCE_S", 60.0)
    (port,) = free_ports(1)
    assert not await probes.http(port, "/readyz")(PID)
    async with answering(port, answer):
        assert await probes.http(port, "/readyz")(PID) is is_ready


async def test_a_heartbeat_counts_while_it_is_fresh_and_of_this_very_process(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    ready = probes.heartbeat(settings, "fraud")
    assert not await ready(PID)
    beat(settings, "fraud", PID, lag=3)
    assert await ready(PID)
    assert not await ready(PID + 1)
    stale = boot_micros() - probes.BEAT_AGE_MAX_US - 1_000_000
    for up_us in (stale, boot_micros() + 3_600_000_000):  # the second one is of an earlier start of the machine
        (tmp_path / "run" / "fraud.json").write_bytes(msgspec.json.encode(Beat(PID, 3, up_us)))
        assert not await ready(PID)


@pytest.mark.parametrize("hours", [-1, 3])
async def test_a_clock_that_is_set_ages_no_heartbeat(
    tmp_path: Path, set_clock: Callable[[float], None], hours: float
) -> None:
    settings = Settings(data=tmp_path)
    beat(settings, "fraud", PID, lag=3)
    set_clock(hours)
    assert await probes.heartbeat(settings, "fraud")(PID)


async def test_no_vault_is_not_ready(tmp_path: Path) -> None:
    assert not await probes.vault(tmp_path / "vault.sock")(PID)


async def test_no_broker_is_not_ready(free_offset: Callable[[], int], tmp_path: Path) -> None:
    away = StackSettings(port_offset=free_offset(), data=tmp_path)
    assert not await probes.kafka(lambda: set_up(away))(PID)


async def test_a_broker_with_our_topics_is_ready(kafka_settings: StackSettings) -> None:
    ready = probes.kafka(lambda: is_open(login(kafka_settings, "admin")))
    await eventually(lambda: ready(PID))
