"""What travels between gateway and vault: four bytes of length (big endian), then one MessagePack array.

The array is `[verb, id, …]`; a reply carries the id of its request, so calls may overtake each other on one
connection. There is no field for a CVC.
"""

from collections.abc import Iterator
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from schemas.cards import Brand

FRAME_MAX = 128 * 1024  # bytes: a request body of 64 KiB to digest, and room
LENGTH_BYTES = 4

Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{13,19}\Z")]
Code = Literal["unknown_card", "bad_card", "no_key", "unavailable"]


class BadFrame(Exception):
    """Bytes that are no frame. It says nothing of what they were."""


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message; its text form shows none of its fields, which may be a card's."""

    id: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class Ping(Frame, frozen=True, tag="ping"):
    """Are you there? → `Done`."""


class StoreCard(Frame, frozen=True, tag="store"):
    """Keep a card → `CardStored`."""

    owner: str
    number: Number
    exp_month: int
    exp_year: int
    name: str | None


class OpenCard(Frame, frozen=True, tag="open"):
    """The number behind a token → `CardOpened`."""

    card: str
    owner: str


class DeleteCard(Frame, frozen=True, tag="delete"):
    """Destroy a card; that it is gone already is no error → `Done`."""

    card: str
    owner: str


class Digest(Frame, frozen=True, tag="digest"):
    """A keyed hash of `data` → `Digested`."""

    data: bytes


class Rotate(Frame, frozen=True, tag="rotate"):
    """Begin a new key version, or go on with one begun → `Counted`, at once."""


class Count(Frame, frozen=True, tag="stats"):
    """How many cards, under which key → `Counted`."""


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """What may be known of a stored card. `created` is False where its owner had it already."""

    card: str
    brand: Brand
    bin: str
    last4: str
    fingerprint: str
    created: bool


class Stats(msgspec.Struct, frozen=True, array_like=True):
    """`cards` stored; `key` is the version new cards are kept under, `left` counts those under an older one.

    `rotating`: a rotation is at work on them. Where none is and some are left, it could not open them.
    """

    cards: int
    key: int
    left: int
    rotating: bool = False


class Done(Frame, frozen=True, tag="done"):
    """Yes, or: it is done."""


class CardStored(Frame, frozen=True, tag="stored"):
    """The card is on disk."""

    stored: Stored


class CardOpened(Frame, frozen=True, tag="opened"):
    """The card itself."""

    number: str
    exp_month: int
    exp_year: int


class Digested(Frame, frozen=True, tag="digested"):
    """HMAC-SHA-256, 32 bytes."""

    digest: bytes


class Counted(Frame, frozen=True, tag="counted"):
    """The figures of this moment."""

    stats: Stats


class Refused(Frame, frozen=True, tag="refused"):
    """No, and why in one word."""

    code: Code


Request = Ping | StoreCard | OpenCard | DeleteCard | Digest | Rotate | Count
Reply = Done | CardStored | CardOpened | Digested | Counted | Refused

REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

_encoder = msgspec.msgpack.Encoder()

F = TypeVar("F")


def pack(frame: Frame) -> bytes:
    """The bytes of a frame."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class Splitter(Generic[F]):
    """Cuts a stream of bytes into frames, however they were cut on the way."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[F]") -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[F]:
        """The frames that `data` completes. Raises `BadFrame` after those before the bad one; then give up."""
        self._buffer += data
        while (frame := self._cut()) is not None:
            yield self._decode(frame)

    def _cut(self) -> bytes | None:
        if len(self._buffer) < LENGTH_BYTES:
            return None
        end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if end > LENGTH_BYTES + FRAME_MAX:
            raise BadFrame("too long")
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[LENGTH_BYTES:end])
        del self._buffer[:end]
        return frame

    def _decode(self, frame: bytes) -> F:
        try:
            return self._decoder.decode(frame)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            raise BadFrame("unreadable") from None
