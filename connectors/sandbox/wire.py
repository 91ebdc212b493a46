"""What the twins of all vendors share: a request as it came in, the call it means, the reply that goes out."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NoReturn, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from schemas.money import Money, from_decimal
from schemas.payments import ProcessorName

Operation = Literal["authorize", "sale", "capture", "void", "reversal", "refund"]
Kind = Operation | Literal["order", "lookup"] | None

JSON = msgspec.json.Encoder(decimal_format="number")  # Mastercard writes amounts as numbers
HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON_HEADERS = {"Content-Type": "application/json;charset=utf-8"}

AMOUNT = re.compile(r"\d{1,12}(\.\d{1,3})?", re.ASCII)

T = TypeVar("T")


class Arrival(msgspec.Struct, frozen=True):
    """An HTTP request. `path` and `query` as they were sent; `headers` do not care about case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def target(self) -> str:
        """Path and query, as the request line had them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str:
        """A header's value, or the empty text."""
        return self.headers.get(name, "")

    def parameters(self) -> dict[str, str]:
        """The query's parameters, the last of each name."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """The body as a submitted HTML form."""
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Refusal(Exception):
    """The vendor says no before anything moves; `reply` is how it says it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Call(msgspec.Struct, frozen=True):
    """What a request means. `run` applies it in one transaction of the database and may raise `Refusal`."""

    kind: Kind
    run: Callable[[], Reply]


class Twin(Protocol):
    """One vendor's wire."""

    name: ProcessorName

    def read(self, arrival: Arrival) -> Call:
        """The call of a request whose credentials are good. Raises `Refusal`; applies nothing."""


Route = tuple[str, re.Pattern[str], Callable[..., Call]]


def find(routes: Iterable[Route], arrival: Arrival) -> tuple[Callable[..., Call], tuple[str, ...]] | None:
    """The reader of a request's route and the groups of its path; None where there is no such route."""
    for method, path, read in routes:
        if method == arrival.method and (match := path.fullmatch(arrival.path)):
            return read, match.groups()
    return None


def json_reply(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, JSON.encode(body), {**JSON_HEADERS, **(headers or {})})


def decode(body: bytes, kind: type[T], refuse: Callable[[str, str], NoReturn]) -> T:
    """The body as `kind`; else `refuse(field, reason)`, where `field` is its path and no value is repeated."""
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        refuse("", "nested too deeply")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason, _, where = str(error).partition(" - at `$")
        missing = re.search(r"missing required field `(\w+)`", reason)
        refuse(where.rstrip("`").lstrip(".") + (f".{missing[1]}" if missing else ""), reason)


def positive_money(text: str, currency: str) -> Money:
    """An amount above zero as the vendors write it, such as `"12.34"`. Raises `ValueError`."""
    if not AMOUNT.fullmatch(text):
        raise ValueError("not a decimal number")
    money = from_decimal(text, currency)
    if money.amount <= 0:
        raise ValueError("not above zero")
    return money
