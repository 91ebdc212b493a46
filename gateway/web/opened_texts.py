"""The place where sealed texts of persons are opened on their way out: no handler has to think of it."""

from collections.abc import AsyncIterator

import msgspec

from gateway.books.answer_texts import has_sealed, opened_answer
from gateway.runtime import Runtime
from gateway.web.call import Reply


async def opened(runtime: Runtime, reply: Reply) -> Reply:
    """The reply with its texts opened; without those of who was erased. Raises `VaultAway`."""
    if reply.body is None or isinstance(reply.body, AsyncIterator):
        return reply
    body = reply.encoded()
    if has_sealed(body):
        body = await runtime.books.read(opened_answer, body)
    return msgspec.structs.replace(reply, body=body)
