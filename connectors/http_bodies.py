"""The bodies of answers from others, of a bounded size: an endless one would fill our memory."""

from aiohttp import ClientResponse

BODY_MAX = 1_000_000  # bytes; a processor's longest answer has some ten thousand, a page of sent messages more
CHUNK = 65_536


class AnswerTooLong(Exception):
    """An answer is longer than `BODY_MAX`; its connection is closed."""


async def read_body(response: ClientResponse) -> bytes:
    """The whole body of an answer. Raises `AnswerTooLong`, and what aiohttp raises."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > BODY_MAX:
            response.close()
            raise AnswerTooLong
    return bytes(body)
