"""Canaries through every route: into each field, path, parameter and header of each described operation."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from benchmarks.canary.canaries import Canaries, Suspect, card_data
from benchmarks.described import SPENT_BY, DescribedOperation, Tokens, ask, asks_as, operations
from schemas.ids import new_id

AT_ONCE = 16
SENDS_ON = "/oauth/"  # where a browser goes on to has in it what the app sent along, as OAuth wants it
HEADERS = ("Idempotency-Key", "traceparent", "User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Authorization")


class CanaryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request with a canary in it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None = None


class RouteFigures(msgspec.Struct):
    """`answers`: by status. `shown`: operations of which an answer showed a canary, and how."""

    operations: int = 0
    requests: int = 0
    answers: dict[int, int] = msgspec.field(default_factory=dict)
    shown: dict[str, str] = msgspec.field(default_factory=dict)


def typed(canaries: Canaries) -> list[str]:
    """What people type where it does not belong: numbers as such, in groups, and inside of other words."""
    first, *others = canaries.numbers
    groups = [first[at : at + 4] for at in range(0, len(first), 4)]
    grouped = [separator.join(groups) for separator in ("-", " ", ".", "_", "/")]
    return [first, f"order-{first}-7", f"{first}@example.com", f"en-x-{first}", *grouped, *others]


def requests_with(
    operation: DescribedOperation, text: str, code: str, known: dict[str, str]
) -> Iterator[CanaryRequest]:
    """The operation with `text` in each place that takes one, and with a CVC where none belongs.

    `known`: ids by name, with which it is valid but for that; a DELETE has none, for what is gone is not there for
    the next request.
    """
    known = {} if operation.method == "DELETE" else known
    example = _with_known(operation.body, known)
    valid = {name: known.get(name) or new_id("x") for name in operation.variables}
    target, body = operation.target(valid), operation.encoded(example) if operation.media_type else None
    plain = {"Content-Type": operation.media_type} if operation.media_type else {}

    def made(
        to: str = target, content: bytes | None = body, headers: dict[str, str] | None = None
    ) -> CanaryRequest:
        key = {"Idempotency-Key": new_id("key")} if operation.takes_key else {}
        sent = plain | key | (headers or {})
        return CanaryRequest(method=operation.method, target=to, headers=sent, body=content)

    yield made()
    for name in operation.variables:
        yield made(operation.target(valid | {name: text}))
    for name in (*operation.query, text):
        yield made(f"{target}?{quote(name)}={quote(text)}")
    for name in HEADERS:
        yield made(headers={name: f"Bearer {text}" if name == "Authorization" else text})
    if operation.media_type:
        for document in _documents(example, text, code):
            yield made(content=operation.encoded(document))
        yield made(content=f'{{"number": "{text}", "cvc": "{code}"'.encode())
        yield made(headers={"Content-Type": text})


def _documents(example: Any, text: str, code: str) -> Iterator[Any]:
    if isinstance(example, str):  # a file of lines
        yield from (
            example + text,
            f"{text},{example}",
            *(example.replace(name, text) for name in example.split(",")),
        )
        return
    yield from _with_each_value(example, text)
    yield example | {text: text}
    yield example | {"number": text, "cvc": code}
    yield example | {"metadata": {"note": text}}
    yield example | {"metadata": {"cvc": code}}
    yield example | {"description": f"cvc {code}", "reason": f"cvc {code}"}
    yield [text]


def _with_known(value: Any, known: dict[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: known.get(name) or _with_known(inside, known) for name, inside in value.items()}


def _with_each_value(value: Any, text: str) -> Iterator[Any]:
    """The document with `text` in place of one of its values, or of one of its names."""
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from (value | {name: changed} for changed in _with_each_value(inside, text))
            yield {other: kept for other, kept in value.items() if other != name} | {text: inside}
    yield text


class RouteSender:
    """Sends canaries to a gateway at `url`, as whoever may use each operation."""

    def __init__(self, url: str, canaries: Canaries, tokens: Tokens, known: dict[str, str]) -> None:
        self._url = url.replace("localhost", "127.0.0.1")
        self._known = known
        self._clients = 0
        self._canaries = canaries
        self._tokens = tokens
        self._shows: Suspect = card_data(canaries.numbers, canaries.codes)
        self.figures = RouteFigures()

    async def send_everywhere(self, texts: list[str]) -> None:
        """Send each text to each place of each operation of the document."""
        described = operations(await ask(f"{self._url}/openapi.json"))
        self.figures.operations = len(described)
        slots = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*[self._send(slots, each, text) for each in described for text in texts])
        async with self._somewhere() as session:
            for text in texts:
                for method, path in (("GET", f"/{quote(text)}"), (text, "/")):
                    await self._ask(session, path, CanaryRequest(method=method, target=path, headers={}))

    def _somewhere(self) -> aiohttp.ClientSession:
        """A client at an address of its own: what is limited by address must not hide the rest."""
        self._clients += 1
        address = f"127.77.{self._clients // 250}.{1 + self._clients % 250}"
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        return aiohttp.ClientSession(connector=connector, auto_decompress=False)

    async def _send(self, slots: asyncio.Semaphore, operation: DescribedOperation, text: str) -> None:
        async with slots, self._somewhere() as session:
            for request in requests_with(operation, text, self._canaries.codes[0], self._known):
                await self._ask(session, operation.name(), await self._authorized(operation, request))

    async def _authorized(self, operation: DescribedOperation, request: CanaryRequest) -> CanaryRequest:
        """With a token; what would end the session of a seeded account has the canary's own, or none."""
        if operation.scope is None or "Authorization" in request.headers or operation.name() in SPENT_BY:
            return request
        token = await self._tokens.of(asks_as(operation.scope))
        return msgspec.structs.replace(request, headers=request.headers | {"Authorization": f"Bearer {token}"})

    async def _ask(self, session: aiohttp.ClientSession, name: str, request: CanaryRequest) -> None:
        url, headers = self._url + request.target, request.headers
        asking = session.request(request.method, url, data=request.body, headers=headers, allow_redirects=False)
        try:
            async with asking as answer:
                told = "" if request.target.startswith(SENDS_ON) else str(answer.headers)
                content = told.encode() + await answer.read()
                status = answer.status
        except (aiohttp.ClientError, ValueError):  # aiohttp does not send it, or the connection was ended
            return
        self.figures.requests += 1
        self.figures.answers[status] = self.figures.answers.get(status, 0) + 1
        if wrong := self._shows(content):
            self.figures.shown[name] = wrong
