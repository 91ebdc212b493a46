"""Mutations of a request's body, of how long it claims to be, and of what comes before and after it."""

import gzip
import json
from collections.abc import Callable
from random import Random

from benchmarks.mangled.raw import RawRequest

BodyMutation = Callable[[Random, RawRequest], None]

DEEP = 10_000
HERE = "the odd value goes here"
VALUES = (
    b"null", b"true", b"-0", b"1e309", b"NaN", b"Infinity", b"1e-400", b"9" * 400, b"0.1", b"[]", b"{}", b'""',
    b'"\\u0000"', b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b"'a'", b"01", b"+1",
    b'"\x01"', b'"' + b"a" * 60_000 + b'"', b"9" * 60_000, b"1" + b"0" * 1_000_000, b"1e1000000",
    b"-9223372036854775809", b"18446744073709551616",
)  # fmt: skip
WHOLE = (
    b"", b" ", b"\xef\xbb\xbf{}", b"null", b"[]", b'"a"', b"1", b"{", b"}", b"{}{}", b"{},", b"\xff\xfe{\0}\0",
    b"\0", b"{\0}", b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b'{"":{}}',
    b"// a\n{}", b"{'a': 1}", b"<xml/>", b"\x1f\x8b\x08\0", b"a=b&c=d", b"&" * 5_000, b"%ff=%zz&=&;",
    b"grant_type=x&grant_type=y", b"--a\r\n",
    b"--a\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--a--\r\n",
)  # fmt: skip
LENGTHS = (
    b"-1",
    b"+5",
    b"5, 5",
    b"5,6",
    b"0x5",
    b"1e3",
    b"",
    b" ",
    b"99999999999999999999",
    b"5 5",
    b"\xb2",
    b"0",
    b"1",
    b"2147483648",
)
CODINGS = (
    b"chunked, chunked", b"chunked, identity", b"gzip, chunked", b"xchunked", b"\tchunked", b"chunked\0",
    b"chunked;q=1", b"identity", b"", b"CHUNKED", b"chu\r\n nked",
)  # fmt: skip
SIZES = (
    b"g", b"-1", b"0x5", b"F" * 17, b"5 ", b" 5", b"5;ext=\xff", b"5;" + b"a" * 20_000, b"", b"05", b"+5",
    b"5\n", b"5\r", b"ffffffff", b"5\0",
)  # fmt: skip
FOLLOWING = (
    b"GET /v1/me HTTP/1.1\r\nHost: a\r\nX: ",
    b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nX: ",
    b"\0",
    b"\r\n",
)


def value(random: Random, request: RawRequest) -> None:
    """One value of the document becomes one that is odd or out of range."""
    document = _document(request.body)
    if not document:
        return whole(random, request)
    document[random.choice(list(document))] = HERE
    request.body = json.dumps(document).encode().replace(b'"%b"' % HERE.encode(), random.choice(VALUES))
    return None


def _document(body: bytes) -> dict[str, object]:
    """The object that a body is; an empty one where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def twice(random: Random, request: RawRequest) -> None:
    """A name stands twice in the document."""
    if request.body.startswith(b"{") and len(request.body) > 2:
        request.body = b"{" + request.body[1:-1] + b"," + request.body[1:]


def whole(random: Random, request: RawRequest) -> None:
    """Another body altogether."""
    request.body = random.choice((*WHOLE, gzip.compress(request.body)))


def cut(random: Random, request: RawRequest) -> None:
    """The document ends early."""
    request.body = request.body[: random.randrange(len(request.body) + 1)]


def bytes_of_body(random: Random, request: RawRequest) -> None:
    """Some bytes become others."""
    changed = bytearray(request.body)
    for _ in range(random.randint(1, 4)):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    request.body = bytes(changed)


def length(random: Random, request: RawRequest) -> None:
    """Another Content-Length, or two of them."""
    request.framed = True
    request.headers.append((b"Content-Length", random.choice((*LENGTHS, b"%d" % (len(request.body) + 7)))))
    if random.random() < 0.4:
        request.headers.append((b"Content-Length", b"%d" % len(request.body)))


def chunked(random: Random, request: RawRequest) -> None:
    """A body in chunks: well formed, of bad sizes, with trailers, or with a Content-Length beside it."""
    request.framed = True
    if random.random() < 0.4:
        request.headers.append((b"Content-Length", b"%d" % random.choice((len(request.body), 3, 0))))
    coding = b"chunked" if random.random() < 0.6 else random.choice(CODINGS)
    request.headers.insert(random.randrange(len(request.headers) + 1), (b"Transfer-Encoding", coding))
    if random.random() < 0.2:
        request.headers.append((b"Transfer-Encoding", random.choice((b"chunked", b"identity"))))
    size = random.choice(SIZES) if random.random() < 0.5 else b"%x" % len(request.body)
    trailer = random.choice((b"", b"X: a\r\n", b"Content-Length: 5\r\n", b"Authorization: \xff\r\n"))
    ending = random.choice((b"0\r\n" + trailer + b"\r\n", b"0\n\n", b"0\r\n", b"", b"00000\r\n\r\n"))
    request.body = size + b"\r\n" + request.body + random.choice((b"\r\n", b"\r\n", b"\n", b"")) + ending


def smuggle(random: Random, request: RawRequest) -> None:
    """What follows the body reads like the beginning of another request."""
    request.after = random.choice(FOLLOWING)


def copies(random: Random, request: RawRequest) -> None:
    """It is sent several times at once."""
    request.copies = random.choice((2, 3, 20))


def pieces(random: Random, request: RawRequest) -> None:
    """It comes in pieces."""
    request.pieces = random.randint(2, 9)


def half_closed(random: Random, request: RawRequest) -> None:
    """Its sender closes its half of the connection."""
    request.half_closed = True


OF_BODIES: tuple[BodyMutation, ...] = (
    value, value, value, twice, whole, whole, cut, bytes_of_body, length, chunked, chunked, smuggle, copies,
    pieces, half_closed,
)  # fmt: skip
