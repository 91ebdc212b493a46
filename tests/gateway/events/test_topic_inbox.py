"""What both inboxes have in common, without a topic."""

import asyncio

import pytest

from gateway.events import topic_inbox
from gateway.events.topic_inbox import TopicInbox
from tests.patience import eventually


async def test_it_reads_again_after_whatever_is_raised(kafka: str) -> None:
    errors = [OSError("the disk is full"), ValueError("a bug")]

    def read(topic: TopicInbox) -> None:
        if errors:
            raise errors.pop()
        topic.catch_up()
        topic.stopping.wait()

    inbox = TopicInbox(kafka, "an inbox", read)
    await eventually(inbox.is_caught_up)
    await inbox.close()
    assert not errors


async def test_without_kafka_it_is_caught_up_after_a_while_and_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_inbox, "CATCH_UP_MAX_S", 0.01)
    read = list[TopicInbox]()
    inbox = TopicInbox("localhost:1", "an inbox", read.append)
    await eventually(inbox.is_caught_up)
    await inbox.close()
    assert not read


def test_a_thread_that_outlives_its_loop_says_so_to_nobody() -> None:
    async def closed() -> TopicInbox:
        inbox = TopicInbox("localhost:1", "an inbox", lambda topic: None)
        await inbox.close()
        return inbox

    asyncio.run(closed()).catch_up()
