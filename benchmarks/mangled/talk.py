"""One connection: a mangled request, a good one after it, and what comes back, read strictly."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from benchmarks.mangled.raw import RawRequest
from gateway.problems import CODES, CONTENT_TYPE

ANSWER_WITHIN_S = 9.0  # a body that never ends is given up after 5 s
NEXT_WITHIN_S = 3.0  # after an answer
OAUTH_ERRORS = {"invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type", "invalid_grant"}
MAY_BE_AWAY = (b"/readyz", b"/v1/dead-letters")  # they say by 503 that something is
SENDS_ON = b"/oauth/"  # where a browser goes on to has in it what the app sent along, as OAuth wants it
PAGE = "text/html"
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]+)\r\n")
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*")


class AnswerHead(msgspec.Struct, frozen=True):
    """An answer's status and headers (names in lower case)."""

    status: int
    headers: dict[str, str]


class RawAnswer(msgspec.Struct, frozen=True):
    """An answer as read off the socket. `whole`: its bytes."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bytes


class Talk(msgspec.Struct):
    """What came back on one connection. `own`: the good request got its own answer. `ended`: how it ended."""

    answers: list[RawAnswer]
    own: bool = False
    ended: str = ""


class NotHttp(Exception):
    """What came back is no HTTP answer."""


class Prober(msgspec.Struct, frozen=True):
    """An account that asks who it is: no other request has its answer."""

    account_id: str
    token: str

    def request(self) -> bytes:
        """The good request."""
        return b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % self.token.encode()

    def is_answered_by(self, answer: RawAnswer) -> bool:
        """Whether this is the answer to its request."""
        return answer.status == 200 and f'"id":"{self.account_id}"'.encode() in answer.body


async def talk(host: str, port: int, source: str, request: RawRequest, prober: Prober) -> Talk:
    """Send a mangled request and then a good one, from the address `source`; read until the latter's answer."""
    found = Talk([])
    async with _connected(host, port, source) as (reader, writer):
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S) as patience:
                await _send(writer, request)
                if request.half_closed:
                    writer.write_eof()
                else:
                    writer.write(prober.request())
                await _read_all(reader, request, prober, found, patience)
        except TimeoutError:
            found.ended = "silent"
        except OSError:  # reset, or gone before its half could be closed
            found.ended = "reset"
    return found


async def _read_all(
    reader: asyncio.StreamReader, request: RawRequest, prober: Prober, found: Talk, patience: asyncio.Timeout
) -> None:
    """Read until the answer to the good request, or the end."""
    while not found.own:
        answer = await _read(reader, to_head=request.method == b"HEAD" and len(found.answers) < request.copies)
        if answer is None:
            found.ended = "closed"
            return
        found.own = prober.is_answered_by(answer)
        found.answers.append(answer)
        patience.reschedule(asyncio.get_running_loop().time() + NEXT_WITHIN_S)


async def _send(writer: asyncio.StreamWriter, request: RawRequest) -> None:
    content = request.encoded()
    step = max(len(content) // request.pieces, 1)
    for at in range(0, len(content), step):
        writer.write(content[at : at + step])
        await writer.drain()
        if request.pieces > 1:
            await asyncio.sleep(0.002)


@asynccontextmanager
async def _connected(
    host: str, port: int, source: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0), limit=2**20)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader, *, to_head: bool) -> RawAnswer | None:
    """The next answer; None at the end. Raises `NotHttp`."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if cut.partial.strip():
            raise NotHttp(repr(cut.partial[:200])) from None
        return None
    head = _head(raw)
    if 100 <= head.status < 200:
        return await _read(reader, to_head=to_head)
    if head.status in (204, 304):
        return RawAnswer(head.status, head.headers, b"", raw)
    try:
        body = await _body(reader, head.headers, to_head=to_head)
    except KeyError:
        raise NotHttp("no Content-Length") from None
    except asyncio.IncompleteReadError:
        raise NotHttp("a body that is cut short") from None
    return RawAnswer(head.status, head.headers, body, raw + body)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], *, to_head: bool) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        return b"" if to_head else await _chunks(reader)
    length = int(headers["content-length"])
    if to_head:  # nothing follows, but where nobody could tell that a head was asked for
        return await reader.read(length) if headers.get("connection") == "close" else b""
    return await reader.readexactly(length)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """What is sent as it is read: chunks behind their lengths, the last one empty (RFC 9112 §7.1)."""
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        if not (size := CHUNK_LINE.fullmatch(line)):
            raise NotHttp(repr(line[:200]))
        chunk = await reader.readexactly(int(size[1], 16) + 2)
        if not chunk.endswith(b"\r\n"):
            raise NotHttp("a chunk that is longer than it says")
        if chunk == b"\r\n":
            return body
        body += chunk[:-2]


def _head(raw: bytes) -> AnswerHead:
    first, *lines = raw[:-4].split(b"\r\n")
    if not (status := STATUS_LINE.fullmatch(first)):
        raise NotHttp(repr(first[:200]))
    pairs = [line.decode("ascii").partition(": ") for line in lines]
    return AnswerHead(int(status[1]), {name.lower(): value for name, _, value in pairs})


def complaints(request: RawRequest, found: Talk) -> list[str]:
    """What is wrong with what came back."""
    wrong = [complaint for answer in found.answers for complaint in _wrong_answer(request, answer)]
    if found.ended == "silent" and not found.answers:  # else the good request was taken for the rest of a body
        wrong.append("neither an answer nor an end")
    return wrong


def _wrong_answer(request: RawRequest, answer: RawAnswer) -> list[str]:
    wrong = []
    is_away = answer.status == 503 and any(path in request.target for path in MAY_BE_AWAY)
    if answer.status >= 500 and not is_away:
        wrong.append(f"{answer.status}")
    if answer.status >= 400 and answer.body and not _has_a_code(answer):
        wrong.append(f"{answer.status} without a code: {answer.headers.get('content-type')}")
    shown = answer.body if request.target.startswith(SENDS_ON) else answer.whole
    if answer.status >= 300 and any(canary in shown for canary in request.canaries):
        wrong.append("echoes what was sent")  # a success may show what was stored
    if answer.status == 204 and "content-length" in answer.headers:
        wrong.append("204 with a length")  # RFC 9110 §8.6
    if answer.status == 405 and "allow" not in answer.headers:
        wrong.append("405 without Allow")  # RFC 9110 §15.5.6
    if request.card in shown:
        wrong.append("shows the card number")
    return wrong


def _has_a_code(answer: RawAnswer) -> bool:
    """A problem's code; of a token endpoint the error of RFC 6749 §5.2, which OAuth clients read instead.

    Where a person waits, the problem is a page.
    """
    if answer.headers.get("content-type", "").startswith(PAGE):
        return True
    try:
        document = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return False
    is_problem = answer.headers.get("content-type") == CONTENT_TYPE
    return document.get("code") in CODES if is_problem else document.get("error") in OAUTH_ERRORS
