"""What both inboxes have in common: a thread that reads a topic for as long as the gateway runs.

It tries again after each error, says once the topic was read to its end of the start, and can be closed.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from confluent_kafka import KafkaException

from connectors.kafka import is_listening
from connectors.kafka_login import Bootstrap
from connectors.lasting import LastingThread

RETRY_S = 0.5  # between two attempts to reach Kafka
CATCH_UP_MAX_S = 10.0  # then the gateway is ready without Kafka

log = structlog.get_logger()


class TopicInbox:
    """Reads a topic in a thread of this `name`; to be made on the event loop.

    `read_from_broker` is called with the inbox while Kafka listens, and again after whatever it raises; it returns
    once `stopping` is set.
    """

    def __init__(self, bootstrap: Bootstrap, name: str, read_from_broker: Callable[["TopicInbox"], None]) -> None:
        self._bootstrap = bootstrap
        self._name = name
        self._read_from_broker = read_from_broker
        self._loop = asyncio.get_running_loop()
        self._caught_up = asyncio.Event()
        self._timer = self._loop.call_later(CATCH_UP_MAX_S, self._caught_up.set)
        self.stopping = threading.Event()
        self._thread = LastingThread(self._read, name, self.stopping)

    def is_caught_up(self) -> bool:
        """Whether the topic was read to where it ended at the start, or Kafka is away."""
        return self._caught_up.is_set()

    def catch_up(self) -> None:
        """Note, from the thread, that it was."""
        if not self.is_caught_up():
            self.in_loop(self._caught_up.set)

    def in_loop(self, fn: Callable[..., object], *args: Any) -> None:
        """Have the event loop call `fn`. `close` waits only so long: the loop may be closed already."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(fn, *args)

    async def close(self) -> None:
        """Stop reading; waits 1 s at most, because a client whose Kafka has just gone away blocks its thread."""
        self.stopping.set()
        self._timer.cancel()
        await asyncio.to_thread(self._thread.join, 1.0)

    def _read(self) -> None:
        while not self.stopping.is_set():
            try:
                if is_listening(self._bootstrap):
                    self._read_from_broker(self)
            except Exception as error:
                if not self.stopping.is_set():
                    log.warning("inbox.read_failed", inbox=self._name, error=_name_of(error))
            self.stopping.wait(RETRY_S)


def _name_of(error: Exception) -> str:
    """Kafka's name of its error, or the type of another one."""
    return str(error.args[0].name()) if isinstance(error, KafkaException) else type(error).__name__
