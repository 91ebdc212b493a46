"""A processor's credentials change while calls are made: none fails, and none is made twice."""

from collections.abc import Iterator

import pytest

from connectors.processors.credentials import send_as
from connectors.processors.http_signature import signer_of
from connectors.processors.settings import SECRET_FILES, ProcessorSettings
from connectors.processors.transport import HttpReply, HttpRequest, Transport
from connectors.secret_files import put_next, take_next
from tests.connectors.desk import Desk

NEW = {"visa": "their-next-key bmV3LXNoYXJlZC1zZWNyZXQ=", "mastercard": "another", "paypal": "another"}


async def test_while_the_processor_takes_both_no_call_fails_and_then_the_old_one_is_refused(
    desk: Desk, processor_settings: ProcessorSettings
) -> None:
    old, new = processor_settings.secret(desk.name).text(), NEW[desk.name]
    path = processor_settings.secrets() / SECRET_FILES[desk.name]
    await desk.authorized()
    desk.sandbox.accept(desk.name, [old, new])
    await desk.authorized()
    put_next(path, new)
    take_next(path)
    await desk.authorized()
    desk.sandbox.accept(desk.name, [new])
    await desk.authorized()
    later = await desk.charge()
    path.write_text(old)
    assert (await desk.hasty.authorize(later, capture=False)).result == "failed"


class Answering(Transport):
    """A processor that answers each call with the next status."""

    def __init__(self, *statuses: int) -> None:
        self.sent: list[str] = []
        self._statuses = iter(statuses)

    def deadline(self) -> float:
        return 1.0

    async def send(self, request: HttpRequest, until: float | None = None) -> HttpReply:
        assert until == 1.0, "both tries have one deadline"
        self.sent.append(request.headers["as"])
        return HttpReply(next(self._statuses), b"")


@pytest.mark.parametrize(
    ("known", "statuses", "sent"),
    [
        ("ab", (401, 201), ["a", "b"]),  # they were replaced after it was signed
        ("aa", (401,), ["a"]),  # they are simply wrong
        ("ab", (401, 401), ["a", "b"]),  # once more, and no further
        ("ab", (403,), ["a"]),
        ("ab", (500,), ["a"]),
        ("ab", (409,), ["a"]),
    ],
)
async def test_only_a_401_for_credentials_of_before_is_sent_again(
    known: str, statuses: tuple[int, ...], sent: list[str]
) -> None:
    shown: Iterator[str] = iter(known)
    processor = Answering(*statuses)
    reply = await send_as(
        processor, lambda: next(shown), lambda each: HttpRequest("POST", "/", {"as": each}, b"pay"), None
    )
    assert (processor.sent, reply.status) == (sent, statuses[-1])


def test_a_keys_id_may_stand_before_it() -> None:
    assert signer_of("m", "old-id", "c2VjcmV0") == signer_of("m", "other", "old-id c2VjcmV0")
