"""The HTTP shapes all twins share: a received request, the call it means, the reply that is sent."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from schemas.money import Money, from_decimal
from schemas.payments import ProcessorName

LedgerOperation = Literal["authorize", "sale", "capture", "void", "reversal", "refund"]
RequestKind = LedgerOperation | Literal["order", "lookup"] | None

JSON = msgspec.json.Encoder(decimal_format="number")  # Mastercard writes amounts as numbers
HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON_HEADERS = {"Content-Type": "application/json;charset=utf-8"}

AMOUNT = re.compile(r"\d{1,12}(\.\d{1,4})?", re.ASCII)

T = TypeVar("T")


class ReceivedRequest(msgspec.Struct, frozen=True):
    """An HTTP request. `path` and `query` are as they were sent; `headers` are case-insensitive."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def target(self) -> str:
        """Path and query, as in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str:
        """A header's value, empty where it is absent."""
        return self.headers.get(name, "")

    def parameters(self) -> dict[str, str]:
        """The query's parameters, the last of each name."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """The body as a submitted HTML form."""
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))


class TwinReply(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class TwinRefusal(Exception):
    """A call is refused before any money moves. `reply` is the vendor's error response."""

    def __init__(self, reply: TwinReply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class TwinCall(msgspec.Struct, frozen=True):
    """The call a request means. `run` applies it in one database transaction; it may raise `TwinRefusal`."""

    kind: RequestKind
    run: Callable[[], TwinReply]


class Twin(Protocol):
    """One vendor's wire."""

    name: ProcessorName

    def read(self, received: ReceivedRequest) -> TwinCall:
        """The call of a request, after its credentials are checked. Raises `TwinRefusal`; applies nothing."""

    def accept(self, secrets: Sequence[str]) -> None:
        """Take these secrets from now on, and no others."""


Route = tuple[str, re.Pattern[str], Callable[..., TwinCall]]


def find_route(
    routes: Iterable[Route], received: ReceivedRequest
) -> tuple[Callable[..., TwinCall], tuple[str, ...]] | None:
    """The function that reads a request, and the groups of its path; None where there is no such route."""
    for method, path, read in routes:
        if method == received.method and (match := path.fullmatch(received.path)):
            return read, match.groups()
    return None


def json_reply(status: int, body: Any, headers: Mapping[str, str] | None = None) -> TwinReply:
    """A reply with a JSON body."""
    return TwinReply(status, JSON.encode(body), {**JSON_HEADERS, **(headers or {})})


def decode(body: bytes, kind: type[T], refuse: Callable[[str, str], NoReturn]) -> T:
    """The body as `kind`. Where it is malformed, calls `refuse(field, reason)`; neither repeats a value of it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        refuse("", "nested too deeply")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason, _, where = str(error).partition(" - at `$")
        missing = re.search(r"missing required field `(\w+)`", reason)
        refuse(where.rstrip("`").lstrip(".") + (f".{missing[1]}" if missing else ""), reason)


def positive_money(text: str, currency: str) -> Money:
    """An amount above zero, from the vendors' decimal text such as `"12.34"`. Raises `ValueError`."""
    if not AMOUNT.fullmatch(text):
        raise ValueError("not a decimal number")
    money = from_decimal(text, currency)
    if money.amount <= 0:
        raise ValueError("not above zero")
    return money
