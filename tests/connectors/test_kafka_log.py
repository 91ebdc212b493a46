"""What a client logs while its broker is away: that it is, not each of its tries."""

import logging
from collections.abc import Callable

import pytest

from connectors.kafka import producer
from tests.patience import until

TRIES = 5


def test_a_broker_that_is_away_is_said_once(
    free_ports: Callable[[int], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "librdkafka")
    [port] = free_ports(1)
    tried: list[int] = []
    client = producer(f"localhost:{port}", error_cb=lambda error: tried.append(error.code()))
    client.produce("topic", b"")

    def tried_often() -> bool:
        client.poll(0.1)
        return len(tried) >= TRIES

    until(tried_often)
    client.purge()
    said = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(said) == 1, said
