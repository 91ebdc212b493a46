"""A request as bytes on a socket, before and after it is mangled."""

from random import Random

import msgspec

from benchmarks.described import DescribedOperation
from sluice.dataset import card_number

CANARY = "mangledcanary"


class RawRequest(msgspec.Struct, kw_only=True):
    """A request that is being mangled.

    `mutations` names what was done. The lines of its head end with `end`. `framed`: its headers say already how
    long its body is. `before` and `after` it come bytes that are not its own. `copies`: how often it is sent at
    once; `pieces`: in how many parts. `half_closed`: its sender says that nothing follows.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    card: bytes
    canaries: tuple[bytes, ...]
    mutations: list[str] = msgspec.field(default_factory=list)
    end: bytes = b"\r\n"
    framed: bool = False
    before: bytes = b""
    after: bytes = b""
    copies: int = 1
    pieces: int = 1
    half_closed: bool = False

    def set(self, name: bytes, value: bytes) -> None:
        """Replace a header, or add it."""
        self.headers = [kept for kept in self.headers if kept[0].lower() != name.lower()] + [(name, value)]

    def encoded(self) -> bytes:
        """Its bytes."""
        headers = list(self.headers)
        if not self.framed and self.body:
            headers.append((b"Content-Length", b"%d" % len(self.body)))
        lines = [b" ".join(part for part in (self.method, self.target, self.version) if part)]
        lines += [b": ".join(header) if header[1] is not NO_COLON else header[0] for header in headers]
        return (self.before + self.end.join([*lines, b"", b""]) + self.body + self.after) * self.copies


NO_COLON = b"\0no colon"


def valid(operation: DescribedOperation, token: str | None, number: int, random: Random) -> RawRequest:
    """A request that its operation describes, with canaries in it: words, and a card number that is its own."""
    word, card = f"{CANARY}{number}x{random.randrange(10**6)}", card_number(2 * number + 1)
    values = dict.fromkeys(operation.variables, word)
    target = operation.target(values)
    if operation.query and random.random() < 0.5:
        target += f"?{random.choice(operation.query)}={random.choice((word, '1', card))}"
    headers = [(b"Host", b"localhost"), (b"User-Agent", word.encode()), (b"Cookie", f"a={card}".encode())]
    if token:
        headers.append((b"Authorization", f"Bearer {token}".encode()))
    if operation.takes_key:
        headers.append((b"Idempotency-Key", f"{word}-key".encode()))
    body = b""
    if operation.media_type:
        headers.append((b"Content-Type", operation.media_type.encode()))
        body = operation.encoded(_marked(operation.body, word, card, random))
    return RawRequest(
        method=operation.method.encode(),
        target=target.encode(),
        version=b"HTTP/1.1",
        headers=headers,
        body=body,
        card=card.encode(),
        canaries=(word.encode(), card.encode()),
    )


def _marked(body: object, word: str, card: str, random: Random) -> object:
    """The example; often with a canary in one of its fields, or in one that it does not have."""
    if not isinstance(body, dict) or random.random() < 0.3:
        return body
    name = random.choice([*body, word])
    return body | {name: random.choice((word, card, {word: card}, [card]))}
