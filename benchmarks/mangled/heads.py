"""Mutations of a request's head: its first line, and its headers."""

from collections.abc import Callable
from random import Random

from benchmarks.mangled.raw import NO_COLON, RawRequest
from gateway.web.bounded_connection import HEAD_MAX

HeadMutation = Callable[[Random, RawRequest], None]

METHODS = (
    b"HEAD",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"get",
    b"GETT",
    b"G" * 300,
    b"PRI",
    b"",
    b"QUERY",
    b"P\0ST",
)
VERSIONS = (
    b"HTTP/1.0",
    b"",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"HTTP/1.9",
    b"http/1.1",
    b"HTTP/1.1 x",
    b"HTTP/11",
    b"ICY/1.1",
)
TARGETS = (
    b"*",
    b"",
    b"localhost:80",
    b"http://localhost%s",
    b"http://evil.example%s",
    b"http://user:pw@localhost%s",
    b"https://[::1%s",
    b"//evil.example%s",
    b"/..%%2f..%s",
    b"%s/../../v1/me",
    b"%s#fragment",
    b"%s\0",
    b"%s%%00",
    b"%s%%zz%%",
    b"%s\xff\xfe",
    b"%s%%ff%%fe",
    b"%s%%ed%%a0%%80",
    b"%s%%0d%%0aX-Injected:%%20a",
    b"%s?cursor=%%00&limit=%%ff",
    b"%s?limit=1&limit=2",
    b"%s?limit=" + b"9" * 5000,
    b"%s?cursor=",
    b"%s?after=253402300800&before=-99999999999999",
    b"%s?" + b"a=b&" * 3000,
    b"%s/" + b"a" * 9000,
    b"%s/" + b"%%61" * 9000,
    b" %s",
    b"%s\t",
    b"%s x",
)
HOSTS = (
    b"", b"a" * 64 + b".example", b"a." * 200, b"localhost:99999", b"localhost:x", b"user@localhost", b"[::1",
    b"a b", b"\xff.example", "bücher.example".encode(), b"xn--\xff", b"localhost/v1", b"\0", b"evil.example",
    b"a..b", b"-", b"%00", b"xn--" + b"9" * 59, b"[fe80::1%25eth0]", b",localhost",
)  # fmt: skip
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"Authorization", b"Bearer"),
    (b"Authorization", b"Bearer " + b"a" * 20_000),
    (b"Authorization", b"Bearer a.b.c"),
    (b"Authorization", b"Bearer eyJhbGciOiJub25lIn0.e30."),
    (b"Authorization", b"Basic \xff\xff"),
    (b"Authorization", b"Basic " + b"QQ=" * 9),
    (b"Authorization", b"Bearer \xff\xfe"),
    (b"Idempotency-Key", b""),
    (b"Idempotency-Key", b"k" * 256),
    (b"Idempotency-Key", b"\xc3\xa9"),
    (b"Idempotency-Key", b"order-4111111111111111-7"),
    (b"Idempotency-Key", b"a\x01b"),
    (b"traceparent", b"00-00000000000000000000000000000000-0000000000000000-01"),
    (b"traceparent", b"00-41111111111111114111111111111111-4111111111111111-01"),
    (b"traceparent", b"\xff" * 55),
    (b"X-Forwarded-For", b"unknown, \xff, 999.1.1.1"),
    (b"X-Forwarded-Proto", b"gopher"),
    (b"X-HTTP-Method-Override", b"DELETE"),
    (b"Expect", b"100-continue"),
    (b"Expect", b"200-ok"),
    (b"Upgrade", b"h2c"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"close, \xff"),
    (b"Connection", b"Upgrade, HTTP2-Settings"),
    (b"Range", b"bytes=0-18446744073709551616"),
    (b"If-None-Match", b"*"),
    (b"If-Modified-Since", b"yesterday"),
    (b"Accept", b"\xff/\xff;q=nan"),
    (b"Accept-Encoding", b"gzip;q=-1, *;q=1e309"),
    (b"Accept-Language", b"x" * 4000),
    (b"Cookie", b"sluice_device=\xff\x80; ;=;=" + b"a" * 8000),
    (b"Origin", b"null"),
    (b"Content-Type", b""),
    (b"Content-Type", b"text/plain"),
    (b"Content-Type", b"application/json; charset=utf-16"),
    (b"Content-Type", b"application/json; charset=no-such"),
    (b"Content-Type", b"multipart/form-data; boundary="),
    (b"Content-Type", b"multipart/form-data; boundary=a"),
    (b"Content-Type", b"application/x-www-form-urlencoded; charset=\xff"),
    (b"Content-Encoding", b"gzip"),
    (b"X", b"\0"),
    (b"X", b"a\rb"),
    (b"X", b"a\nb"),
    (b"X", b"a\r\n folded"),
    (b"X", b"a\r\n\tfolded"),
    (b"X", b"\x7f\x80\xff"),
    (b"", b"no name"),
    (b"X Y", b"a blank in a name"),
    (b"X ", b"a blank before the colon"),
    (b" X", b"a blank before the name"),
    (b"X\0", b"NUL in a name"),
    (b"X\xff", b"no token"),
    (b"no colon", NO_COLON),
    (b"X" * (HEAD_MAX + 1), b"a"),
    (b"X", b"a" * (HEAD_MAX - 500)),
    (b"X", b"a" * (HEAD_MAX + 1)),
)


def method(random: Random, request: RawRequest) -> None:
    """Another method, or none."""
    request.method = random.choice(METHODS)


def version(random: Random, request: RawRequest) -> None:
    """Another version, or none."""
    request.version = random.choice(VERSIONS)


def target(random: Random, request: RawRequest) -> None:
    """Another form of the target, or one that decodes to no path."""
    form = random.choice(TARGETS)
    request.target = form % request.target if b"%s" in form else form


def host(random: Random, request: RawRequest) -> None:
    """A Host that is none, is missing, or stands there twice."""
    request.set(b"Host", random.choice(HOSTS))
    match random.randrange(4):
        case 0:
            request.headers = [header for header in request.headers if header[0] != b"Host"]
        case 1:
            request.headers.append((b"Host", b"localhost"))


def header(random: Random, request: RawRequest) -> None:
    """A header that is wrong, beside the others or in place of the one of its name."""
    name, value = random.choice(HEADERS)
    if random.random() < 0.7:
        request.set(name, value)
    else:
        request.headers.insert(random.randrange(len(request.headers) + 1), (name, value))


def many_headers(random: Random, request: RawRequest) -> None:
    """Thousands of them."""
    request.headers += [(b"X-%d" % number, b"a") for number in range(random.choice((100, 1_000, 5_000)))]


def without_a_header(random: Random, request: RawRequest) -> None:
    """One is left out."""
    request.headers.pop(random.randrange(len(request.headers)))


def line_ends(random: Random, request: RawRequest) -> None:
    """Lines that end otherwise, or with too little before the first one."""
    request.end = random.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n"))
    request.before = random.choice((b"", b"\r\n", b"\r\n\r\n", b"\n", b" "))


def preface(random: Random, request: RawRequest) -> None:
    """The greeting of another protocol."""
    greetings = (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"SSH-2.0-x\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    )
    request.before = random.choice(greetings)


OF_HEADS: tuple[HeadMutation, ...] = (
    method, version, target, target, host, header, header, header, many_headers, without_a_header, line_ends,
    preface,
)  # fmt: skip
