"""The proxy before two gateways: what is sent to the other one, what is believed, and what is not shown."""

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.child_process import LAUNCH
from tests.conftest import unused_ports
from tests.deploy.tls_front import certificate, haproxy
from tests.patience import until
from tests.tidy.sources import text


class Gateway(ThreadingHTTPServer):
    """Stands behind the proxy. `ready`: what it says of itself. While `dying` it hangs up without an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ready, self.dying = True, False
        self.received = list[tuple[str, dict[str, str]]]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the proxy hangs up on what it no longer waits for."""


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self._answer(200 if self.server.ready else 503)
            return
        self.server.received.append((self.path, dict(self.headers)))
        if not self.server.dying:
            self._answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Behind(msgspec.Struct):
    """The proxy's two ports, whoever signed its certificate, what it printed, and the gateways."""

    tls: int
    plain: int
    authority: Path
    log: Path
    gateways: tuple[Gateway, Gateway]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder, gateways, (tls, plain) = tmp_path_factory.mktemp("proxy"), (Gateway(), Gateway()), unused_ports(2)
    config = text("deploy/gateways.cfg")
    for old, new in (
        (":8443", f"127.0.0.1:{tls}"),
        ("bind :8080", f"bind 127.0.0.1:{plain}"),
        ("/run/secrets/proxy.pem", str(certificate(folder, "ours", "127.0.0.1"))),
        ("inter 2s", "inter 200ms"),
        ("front-1:8080", f"127.0.0.1:{gateways[0].server_port}"),
        ("front-2:8080", f"127.0.0.1:{gateways[1].server_port}"),
    ):
        assert old in config
        config = config.replace(old, new)
    (folder / "gateways.cfg").write_text(config)
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid())]  # it ends with the tests
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*launch, haproxy(), "-db", "-f", str(folder / "gateways.cfg")], stdout=log)
    behind = Behind(tls, plain, folder / "ours.ca.pem", folder / "log", gateways)
    until(lambda: process.poll() is not None or _is_up(behind))
    yield behind
    process.terminate()
    process.wait()
    for gateway in gateways:
        gateway.shutdown()
        gateway.server_close()


def _is_up(behind: Behind) -> bool:
    try:
        return ask(behind, "GET", "/").status == 200
    except OSError:
        return False


class Answered(msgspec.Struct):
    """What came back."""

    status: int
    headers: Message
    body: bytes


def ask(behind: Behind, method: str, path: str, headers: dict[str, str] | None = None) -> Answered:
    context = ssl.create_default_context(cafile=behind.authority)
    connection = HTTPSConnection("127.0.0.1", behind.tls, timeout=10, context=context)
    return answered(connection, method, path, headers)


def answered(
    connection: HTTPConnection, method: str, path: str, headers: dict[str, str] | None = None
) -> Answered:
    with closing(connection):
        connection.request(method, path, b"{}" if method == "POST" else None, headers or {})
        answer = connection.getresponse()
        return Answered(answer.status, answer.headers, answer.read())


def came(behind: Behind) -> list[tuple[str, dict[str, str]]]:
    """What both gateways got since the last look."""
    got = [each for gateway in behind.gateways for each in gateway.received]
    for gateway in behind.gateways:
        gateway.received.clear()
    return got


@pytest.fixture
def dying(proxy: Behind) -> Iterator[None]:
    """Whichever gateway is asked next hangs up; nobody has noticed yet."""
    for gateway in proxy.gateways:
        gateway.dying = True
    yield
    for gateway in proxy.gateways:
        gateway.dying = False


def test_what_a_client_says_of_its_address_is_thrown_away(proxy: Behind) -> None:
    came(proxy)
    ask(proxy, "GET", "/v1/me", {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "gopher"})
    [(_, headers)] = came(proxy)
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert answered(HTTPConnection("127.0.0.1", proxy.plain, timeout=10), "GET", "/v1/me").status == 200
    [(_, headers)] = came(proxy)
    assert headers["x-forwarded-proto"] == "http"


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/%72eadyz", "/readyz?x=1"])
def test_what_is_for_operators_is_not_shown(proxy: Behind, path: str) -> None:
    came(proxy)
    answer = ask(proxy, "GET", path)
    assert (answer.status, json.loads(answer.body)["code"]) == (404, "not_found")
    assert came(proxy) == []


def test_its_log_has_no_query_and_no_address(proxy: Behind) -> None:
    before = proxy.log.stat().st_size
    ask(proxy, "GET", "/reset?token=of_a_mail")
    printed = until(lambda: proxy.log.read_text()[before:])
    assert "GET 200" in printed
    assert not any(hidden in printed for hidden in ("of_a_mail", "/reset", "127.0.0.1"))


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize(("method", "headers"), [("POST", {"Idempotency-Key": "k"}), ("GET", {}), ("POST", {})])
def test_what_was_sent_is_not_sent_again(proxy: Behind, method: str, headers: dict[str, str]) -> None:
    """Whoever asked knows whether it may come twice: some routes take no key."""
    came(proxy)
    answer = ask(proxy, method, "/v1/payments", headers)
    told: dict[str, Any] = json.loads(answer.body)
    assert (answer.status, told["status"], told["code"]) == (502, 502, "unavailable")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(came(proxy)) == 1


def test_one_that_is_not_ready_is_not_asked_and_without_any_it_is_told(proxy: Behind) -> None:
    first, second = proxy.gateways
    first.ready = False
    until(lambda: _only(proxy, second))
    second.ready = False
    until(lambda: ask(proxy, "GET", "/").status == 503)
    answer = ask(proxy, "GET", "/")
    assert (json.loads(answer.body)["code"], answer.headers["Retry-After"]) == ("unavailable", "1")
    first.ready = second.ready = True
    until(lambda: ask(proxy, "GET", "/").status == 200)


def _only(behind: Behind, gateway: Gateway) -> bool:
    came(behind)
    for _ in range(4):
        ask(behind, "GET", "/")
    return len(gateway.received) == 4
