"""What a client logs while its broker is away: that it is, not each of its tries."""

import logging
from collections.abc import Callable
from time import monotonic

import pytest

from connectors.kafka import producer

WATCHED_S = 3.0


def test_a_broker_that_is_away_is_said_once(
    free_ports: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "librdkafka")
    [port] = free_ports(1)
    tried: list[int] = []
    client = producer(f"localhost:{port}", error_cb=lambda error: tried.append(error.code()))
    client.produce("topic", b"")
    until = monotonic() + WATCHED_S
    while monotonic() < until:
        client.poll(0.1)
    client.purge()
    said = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(said) == 1, said
    assert len(tried) > 0
