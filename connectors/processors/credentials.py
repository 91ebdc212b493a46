"""Credentials of a processor that may be replaced while calls are made."""

from collections.abc import Callable
from typing import TypeVar

from connectors.processors.transport import HttpReply, HttpRequest, Transport

C = TypeVar("C")


async def send_as(
    transport: Transport, credentials: Callable[[], C], build: Callable[[C], HttpRequest], until: float | None
) -> HttpReply:
    """Send a request with the credentials of this moment. Raises `NotSent` or `Silence`.

    Where they are refused (401) and others have taken their place meanwhile, it is sent once more: all three
    processors check credentials before anything else, so a call that they answer with 401 did nothing. It is the
    only status that is sent again; whatever else comes is the answer.
    """
    until, used = until or transport.deadline(), credentials()
    reply = await transport.send(build(used), until)
    if reply.status == 401 and (present := credentials()) != used:
        reply = await transport.send(build(present), until)
    return reply
