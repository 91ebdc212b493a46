"""The time of a record through Kafka → Bytewax → Kafka where the flow only copies."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.flow import INPUT, OUTPUT
from benchmarks.stack import Stack
from connectors.kafka import consumer, create_topics, partitions, producer
from connectors.kafka_login import Bootstrap

RECORD = b"0" * 900  # bytes, about a `payment.initiated`
FIRST_WITHIN_S = 60.0
LOST_AFTER_S = 10.0
WARM_UP = 100


@contextmanager
def running(stack: Stack) -> Iterator["Hop"]:
    """The flow on the stack's own broker, warmed up."""
    create_topics(stack.kafka(), [INPUT, OUTPUT])
    command = [sys.executable, "-m", "bytewax.run", "benchmarks.flow:get_flow"]
    with subprocess.Popen(command, env=stack.environment) as flow:
        hop = Hop(stack.kafka())
        try:
            hop.once(FIRST_WITHIN_S)
            hop.measure(WARM_UP, every_s=0)
            yield hop
        finally:
            hop.close()
            flow.kill()


class Hop:
    """Sends one record after another and waits for each."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._producer: Producer = producer(bootstrap)
        self._consumer: Consumer = consumer(bootstrap)
        out = [TopicPartition(OUTPUT.name, p, 0) for p in partitions(self._consumer, OUTPUT.name)]
        self._consumer.assign(out)
        self._sent = 0

    def measure(self, count: int, every_s: float) -> list[float]:
        """Milliseconds that each of `count` records took, sent no faster than one per `every_s`."""
        took = []
        for _ in range(count):
            began = time.perf_counter()
            took.append(self.once(LOST_AFTER_S))
            time.sleep(max(0.0, began + every_s - time.perf_counter()))
        return took

    def once(self, within_s: float) -> float:
        """Milliseconds that one record took. Raises `TimeoutError`."""
        self._sent += 1
        key = b"%d" % self._sent
        began = time.perf_counter()
        self._producer.produce(INPUT.name, RECORD, key)
        while time.perf_counter() < began + within_s:
            self._producer.poll(0)
            come = self._consumer.poll(within_s)
            if come is not None and come.key() == key:
                return (time.perf_counter() - began) * 1000
        raise TimeoutError(f"record {self._sent} did not come through the hop")

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
