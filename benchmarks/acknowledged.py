"""Load whose every acknowledgement is remembered: payments that were answered, and records that Kafka took."""

import asyncio
import threading
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from benchmarks import stack
from benchmarks.canary.looks import all_records
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from connectors.kafka import create_topics, producer
from connectors.lasting import LastingThread
from schemas.topics import Topic
from sluice.dataset import card_number

AT_ONCE = 8
RECORD_EVERY_S = 0.002
AGAIN_S = 0.2
PROBED = Topic("power-probe", "none", "Records of a benchmark.", (), {"retention.ms": "-1"})

Placed = tuple[int, int, bytes]  # partition, offset, value


class Acknowledged(msgspec.Struct, frozen=True):
    """What was acknowledged up to a moment: records of Kafka, and ids of payments that were answered 201."""

    records: AbstractSet[Placed]
    payments: AbstractSet[str]

    def missing_in_kafka(self, measured: stack.Stack) -> AbstractSet[Placed]:
        """The records that are not where they were acknowledged."""
        there = all_records(measured.kafka(), [PROBED.name])
        return self.records - {(record.partition, record.offset, record.value or b"") for record in there}


class AcknowledgedLoad:
    """Pays and writes records until it is stopped, in threads of its own; what fails is tried anew."""

    def __init__(self, measured: stack.Stack) -> None:
        self._measured = measured
        self._records = set[Placed]()
        self._payments = set[str]()
        self._going, self._stopped = threading.Event(), threading.Event()
        self._going.set()
        create_topics(measured.kafka(), [PROBED])
        # One that ended by itself would leave nothing to lose, and prove nothing.
        LastingThread(self._write, "records", self._stopped)
        LastingThread(lambda: asyncio.run(self._pay()), "payments", self._stopped)

    def acknowledged(self) -> Acknowledged:
        """What was acknowledged until now."""
        return Acknowledged(frozenset(self._records.copy()), frozenset(self._payments.copy()))

    def pause(self) -> None:
        """Send nothing new."""
        self._going.clear()

    def go_on(self) -> None:
        """Send again."""
        self._going.set()

    def stop(self) -> None:
        """End; what is under way is dropped."""
        self._stopped.set()

    def _write(self) -> None:
        while not self._stopped.is_set():
            with suppress(KafkaException):  # a log that was put back is fatal to its idempotent producer
                self._write_by(producer(self._measured.kafka()))

    def _write_by(self, client: Producer) -> None:
        while not self._stopped.is_set():
            client.poll(RECORD_EVERY_S)
            if self._going.is_set() and len(client) < 1000:
                client.produce(PROBED.name, uuid4().bytes, on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        partition, offset, value = message.partition(), message.offset(), message.value()
        if error is None and partition is not None and offset is not None:
            self._records.add((partition, offset, value or b""))

    async def _pay(self) -> None:
        url, password = self._measured.settings.url("gateway"), self._measured.replay.seed_password
        async with (
            GatewayClient(url, PasswordLogin("replay@example.com", password)) as payer,
            GatewayClient(url, PasswordLogin("admin@example.com", password)) as admin,
        ):
            merchant = await _made(admin, "/v1/merchants", {"name": "Cut"}, "power-merchant")
            cards = [await self._card(payer, number) for number in range(AT_ONCE)]
            await asyncio.gather(*[self._pay_on(payer, merchant, card) for card in cards])

    async def _card(self, payer: GatewayClient, number: int) -> str:
        body = {"number": card_number(number), "exp_month": 1, "exp_year": 2039}
        return await _made(payer, "/v1/cards", body, f"power-card-{number}")

    async def _pay_on(self, payer: GatewayClient, merchant: str, card: str) -> None:
        method = {"type": "card", "card": card, "cvc": "100"}
        body = {"amount": 1000, "currency": "EUR", "merchant": merchant, "payment_method": method}
        while not self._stopped.is_set():
            if not self._going.is_set():
                await asyncio.sleep(AGAIN_S)
                continue
            try:
                self._payments.add((await payer.post("/v1/payments", body, uuid4().hex))["id"])
            except (GatewayRefused, GatewayUnavailable):
                await asyncio.sleep(AGAIN_S)


async def _made(client: GatewayClient, path: str, body: dict[str, Any], key: str) -> str:
    """The id of what is made, as soon as it can be."""
    while True:
        with suppress(GatewayRefused, GatewayUnavailable):
            return str((await client.post(path, body, key))["id"])
        await asyncio.sleep(AGAIN_S)
