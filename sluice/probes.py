"""Probes: whether a process is ready. A probe takes the process id; where it raises, the process is not."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from confluent_kafka import KafkaException

from connectors.heartbeat import Beat, last_beat
from gateway.vault.frames import REPLIES, Done, Ping, Splitter, pack
from schemas.settings import Settings
from schemas.times import boot_micros

Probe = Callable[[int], Awaitable[bool]]

PATIENCE_S = 2.0  # for one probe
BEAT_AGE_MAX_US = 5_000_000


def http(port: int, path: str) -> Probe:
    """Ready once `GET http://localhost:port/path` answers 200."""

    async def probe(_pid: int) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await _status(port, path) == b"200"
        except (OSError, TimeoutError):
            return False

    return probe


def vault(path: Path) -> Probe:
    """Ready once the vault answers a ping on its socket."""

    async def probe(_pid: int) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await _answers_ping(path)
        except (OSError, TimeoutError):
            return False

    return probe


def heartbeat(settings: Settings, name: str) -> Probe:
    """Ready once this process, not an earlier one, has written a fresh heartbeat."""

    async def probe(pid: int) -> bool:
        return fresh_beat(settings, name, pid) is not None

    return probe


def fresh_beat(settings: Settings, name: str, pid: int) -> Beat | None:
    """The last heartbeat of `name` if the process `pid` wrote it within the last 5 s, else None."""
    beat = last_beat(settings, name)
    if beat is None or beat.pid != pid:
        return None
    return beat if 0 <= boot_micros() - beat.up_us <= BEAT_AGE_MAX_US else None


def kafka(set_up: Callable[[], bool]) -> Probe:
    """Ready once the broker has and allows all that our services need; `set_up` makes what is missing."""

    async def probe(_pid: int) -> bool:
        try:
            return await asyncio.to_thread(set_up)
        except KafkaException:
            return False

    return probe


async def _status(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("localhost", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split(maxsplit=2)
        return words[1] if len(words) > 1 else b""
    finally:
        writer.close()


async def _answers_ping(path: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(pack(Ping(0)))
        return any(isinstance(reply, Done) for reply in Splitter(REPLIES).feed(await reader.read(1024)))
    finally:
        writer.close()
