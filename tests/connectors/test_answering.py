"""Whether the broker answers, told by librdkafka's statistics: nobody has to ask it and wait."""

import time
from collections.abc import Callable

import msgspec
import pytest
from confluent_kafka import TopicPartition

from connectors.kafka import answering, consumer
from connectors.record_reader import RecordReader
from tests.patience import until


def statistics(*brokers: dict[str, object]) -> str:
    """The document, as far as it is looked at, after the client has read a partition."""
    usual = {"state": "UP", "waitresp_cnt": 1, "txidle": 400_000, "toppars": {"payments.v1-0": {}}, "rtt": {}}
    return msgspec.json.encode({"brokers": {str(n): usual | b for n, b in enumerate(brokers)}}).decode()


@pytest.mark.parametrize(
    ("brokers", "answers"),
    [
        ([{}], True),
        ([{"waitresp_cnt": 0, "txidle": 60_000_000}], True),  # nothing is asked: the client's queue is full
        ([{"txidle": 5_000_000}], False),  # stopped, its connection still open
        ([{"state": "CONNECT"}], False),
        ([{}, {"txidle": 5_000_000}], False),
        ([{}, {"state": "INIT", "toppars": {}}], True),  # nothing is read from that one
        ([{"state": "INIT", "toppars": {}}], False),
        ([], False),
    ],
)
def test_a_silent_broker_is_one_that_owes_an_answer(brokers: list[dict[str, object]], answers: bool) -> None:
    assert answering(statistics(*brokers)) is answers


def test_the_real_statistics_say_that_the_broker_answers(kafka: str, new_topic: Callable[..., str]) -> None:
    told: list[bool] = []
    client = consumer(
        kafka,
        stats_cb=lambda statistics: told.append(answering(statistics)),
        **{"statistics.interval.ms": 100},
    )
    client.assign([TopicPartition(new_topic(), 0, 0)])
    until(lambda: client.poll(0.1) is not None or (told and told[-1]))
    client.close()


def test_a_lag_is_told_from_what_was_fetched_and_not_while_the_broker_is_silent(
    kafka: str, new_topic: Callable[..., str]
) -> None:
    place, beats = (new_topic(), 0), list[float]()
    reader = RecordReader(kafka, on_lag=lambda _lag: beats.append(time.monotonic()))
    reader.add(place)
    until(lambda: reader.poll() == [] and bool(beats))
    assert reader.lag() == {place: 0}
    reader._on_statistics(statistics({"txidle": 5_000_000}))
    assert reader.lag() is None
    reader._on_statistics(statistics({}))
    assert reader.lag() == {place: 0}
    reader.close()
