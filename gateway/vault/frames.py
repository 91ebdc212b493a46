"""The protocol between gateway and vault: four bytes of length (big endian), then one MessagePack array.

The array is `[tag, id, …]`; a reply carries the id of its request, so replies may come in any order on one
connection. There is no field for a CVC.
"""

from collections.abc import Iterator
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from schemas.cards import Brand

NONCE_BYTES = 32
FOLLOW_HEADS_MAX = 300  # more than one group of entries, which is all that may be without an answer
HEADS_MAX = 64  # of the books' audit in one frame, and in one entry
FRAME_MAX = 128 * 1024  # bytes: a request body of 64 KiB to digest, and room
LENGTH_BYTES = 4
PERSONS_MAX = 100  # of one call for their keys

Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{13,19}\Z")]
BooksHead = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,11}:[a-z]{64}\Z")]  # as `Head` writes itself
Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
PersonIds = Annotated[list[str], msgspec.Meta(min_length=1, max_length=PERSONS_MAX)]
RefusalCode = Literal[
    "unknown_card", "bad_card", "bad_operation", "too_fast", "no_key", "unproven", "unavailable", "standby"
]


class BadFrame(Exception):
    """Bytes that are no frame. The message quotes none of them."""


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message. Its text form shows no field: it could be a card's."""

    id: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class Ping(Frame, frozen=True, tag="ping"):
    """Ask whether the vault answers → `Done`."""


class Hello(Frame, frozen=True, tag="hello"):
    """Begin the proof of the client secret → `Challenge`. Before it, only a `Ping` is answered."""

    nonce: Nonce


class Prove(Frame, frozen=True, tag="prove"):
    """`proof.of_client` over both nonces → `Done`, or `Refused` and the end of the connection.

    A vault that stands by refuses a right one as well: `standby`.
    """

    proof: bytes


class StoreCard(Frame, frozen=True, tag="store"):
    """Store a card → `CardStored`."""

    owner_id: str
    number: Number
    exp_month: int
    exp_year: int
    name: str | None


class OpenCard(Frame, frozen=True, tag="open"):
    """Read the number behind a token, for one operation, once → `CardOpened`.

    `call`: random, and the same where a caller repeats one open whose reply it never got.
    """

    card_id: str
    owner_id: str
    operation_id: str
    call: bytes


class DeleteCard(Frame, frozen=True, tag="delete"):
    """Destroy a card; one that is gone already is no error → `Done`."""

    card_id: str
    owner_id: str


class DeleteCards(Frame, frozen=True, tag="delete_all"):
    """Destroy every card of an owner → `Done`."""

    owner_id: str


class Digest(Frame, frozen=True, tag="digest"):
    """A keyed hash of `data` → `Digested`."""

    data: bytes


class KeepHeads(Frame, frozen=True, tag="keep_heads"):
    """Keep heads of the books' audit, in order, in one entry of our own → `HeadKept`.

    Without any it only asks.
    """

    heads: Annotated[list[BooksHead], msgspec.Meta(max_length=HEADS_MAX)]


class OpenPersonKeys(Frame, frozen=True, tag="person_keys"):
    """Read persons' keys → `PersonKeysOpened`. `make`: whoever never had one gets one."""

    person_ids: PersonIds
    make: bool


class DestroyPersonKey(Frame, frozen=True, tag="person_destroy"):
    """Destroy a person's key for ever; one that is gone already is no error → `Done`."""

    person_id: str


class Rotate(Frame, frozen=True, tag="rotate"):
    """Begin a new key version, or continue an unfinished rotation → `Counted`, before any card is rewrapped."""


class CountCards(Frame, frozen=True, tag="stats"):
    """How many cards there are, and under which key → `Counted`."""


class Follow(Frame, frozen=True, tag="follow"):
    """A vault stands by, under the name `vault`, and wants a copy of all → the frames of `copy_frames`.

    `heads`: the last ones of its copy of the audit, the newest first. `store_id`: whose copy it has; empty: none.
    """

    vault: str
    store_id: str
    heads: Annotated[list[BooksHead], msgspec.Meta(max_length=FOLLOW_HEADS_MAX)]


class Copied(Frame, frozen=True, tag="copied"):
    """What came in the frame with this id is on the disk of the vault that stands by."""


class StoredCard(msgspec.Struct, frozen=True, array_like=True):
    """A stored card without its number. `created` is False where its owner had stored the number before."""

    card_id: str
    brand: Brand
    bin: str
    last4: str
    fingerprint: str
    created: bool


class CardCounts(msgspec.Struct, frozen=True, array_like=True):
    """`cards` stored; `key_version` encrypts new ones, `left` of them are still under an older version.

    `rotating`: a rotation is running. Where none is and some are left, it could not open them.
    """

    cards: int
    key_version: int
    left: int
    rotating: bool = False


class Done(Frame, frozen=True, tag="done"):
    """The request is carried out."""


class CardStored(Frame, frozen=True, tag="stored"):
    """The card is on disk."""

    stored: StoredCard


class CardOpened(Frame, frozen=True, tag="opened"):
    """The card itself. `audit_head`: the audit's head with the entry of this open, already on disk."""

    number: str
    exp_month: int
    exp_year: int
    audit_head: str


class PersonKeysOpened(Frame, frozen=True, tag="persons"):
    """Keys by person, without those who have none: it was destroyed, or never made."""

    keys: dict[str, bytes]


class Challenge(Frame, frozen=True, tag="challenge"):
    """`proof.of_vault` over both nonces: the vault proves that it knows the secret first."""

    nonce: Nonce
    proof: bytes


class Digested(Frame, frozen=True, tag="digested"):
    """HMAC-SHA-256, 32 bytes."""

    digest: bytes


class HeadKept(Frame, frozen=True, tag="head_kept"):
    """`newest`: the head of the books' audit that was kept last; empty where none was."""

    newest: str


class Counted(Frame, frozen=True, tag="counted"):
    """The counts at this moment."""

    counts: CardCounts


class Refused(Frame, frozen=True, tag="refused"):
    """The request is refused, with the reason as a code."""

    code: RefusalCode


GreetingRequest = Ping | Hello | Prove  # before a client is known
ReadRequest = Digest  # answered from memory
CardRequest = OpenCard | StoreCard | DeleteCard | DeleteCards
PersonRequest = OpenPersonKeys | DestroyPersonKey
# What waits for the disk.
WriteRequest = CardRequest | PersonRequest | KeepHeads | Rotate | CountCards
CopyRequest = Follow | Copied  # of a vault that stands by
RequestFrame = GreetingRequest | ReadRequest | WriteRequest | CopyRequest
AnswerFrame = CardStored | CardOpened | PersonKeysOpened | Digested | HeadKept | Counted
ReplyFrame = Done | Challenge | AnswerFrame | Refused

REQUESTS: msgspec.msgpack.Decoder[RequestFrame] = msgspec.msgpack.Decoder(RequestFrame)
REPLIES: msgspec.msgpack.Decoder[ReplyFrame] = msgspec.msgpack.Decoder(ReplyFrame)

_encoder = msgspec.msgpack.Encoder()

F = TypeVar("F")


def kind_of(frame: Frame) -> str:
    """What a frame is called on the wire: `store`, `open` …"""
    return str(type(frame).__struct_config__.tag)


def pack(frame: Frame) -> bytes:
    """The bytes of a frame."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class Splitter(Generic[F]):
    """Cuts a stream of bytes into frames; a frame may arrive in any number of pieces."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[F]") -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[F]:
        """The frames that `data` completes.

        Raises `BadFrame`, after the frames before the bad one; the stream cannot be read any further then.
        """
        self._buffer += data
        while (frame := self._cut()) is not None:
            yield self._decode(frame)

    def _cut(self) -> bytes | None:
        if len(self._buffer) < LENGTH_BYTES:
            return None
        end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if end > LENGTH_BYTES + FRAME_MAX:  # refused by its length alone: the buffer must not grow for it
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
