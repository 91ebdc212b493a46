"""SQL from another host: by TLS alone, checked by who asks; what comes in is bounded before `sql` sees it."""

import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from connectors.warehouse import token
from schemas.settings import Settings
from tests.deploy.tls_front import Front, OtherHost, certificate, front, other_host
from tests.flows.analytics.conftest import served_copy
from tests.patience import PATIENCE_S, until
from tests.tidy.sources import ROOT

SQL = [sys.executable, "-m", "sluice", "sql", "--csv"]
HEAD = "POST /quack HTTP/1.1\r\nHost: sql\r\n"
BODY_MAX = 278_528
LATE = [("http-request 5s", "http-request 60s"), ("timeout client 10s", "timeout client 60s")]
SOON = [("http-request 5s", "http-request 400ms"), ("timeout client 10s", "timeout client 800ms")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with served_copy(tmp_path_factory.mktemp("sql")) as settings:
        yield settings


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[OtherHost]:
    with other_host() as host:
        yield host


@pytest.fixture(scope="module")
def before(served: Settings, elsewhere: OtherHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("front"), served.port("sql"), elsewhere.address) as started:
        yield started


def ask(
    elsewhere: OtherHost, served: Settings, url: str, *options: str, statement: str | None = "SELECT 42 AS answer"
) -> subprocess.CompletedProcess[str]:
    """`sluice sql` on the other host."""
    own = {"SLUICE_DATA": "/nowhere", "SLUICE_SQL_TOKEN": token(served, "sql")}
    asked = [] if statement is None else [statement]
    command = [*elsewhere.prefix, *SQL, "--host", url, *options, *asked]
    return subprocess.run(command, env=os.environ | own, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_another_host_asks_by_tls(elsewhere: OtherHost, served: Settings, before: Front) -> None:
    answer = ask(elsewhere, served, f"https://{before.at}", "--ca", str(before.authority))
    assert (answer.stdout, answer.stderr) == ("answer\n42\n", "")


def test_a_certificate_of_somebody_else_is_refused(
    elsewhere: OtherHost, served: Settings, before: Front, tmp_path: Path
) -> None:
    certificate(tmp_path, "theirs", elsewhere.address)
    for options in (["--ca", str(tmp_path / "theirs.ca.pem")], []):
        refused = ask(elsewhere, served, f"https://{before.at}", *options)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "certificate" in refused.stderr


def test_a_certificate_for_another_address_is_refused(served: Settings, tmp_path: Path) -> None:
    with front(tmp_path, served.port("sql"), "127.0.0.1") as here:
        url = f"https://127.0.0.1:{here.port}"
        assert ask(OtherHost("", []), served, url, "--ca", str(here.authority)).stdout == "answer\n42\n"
        wrong = ask(OtherHost("", []), served, f"https://localhost:{here.port}", "--ca", str(here.authority))
    assert "certificate" in wrong.stderr


def test_another_host_gets_nothing_without_tls(elsewhere: OtherHost, served: Settings, before: Front) -> None:
    """Neither of the process, which listens on localhost, nor of the front; nor does the client ask so."""
    sql = f"http://{elsewhere.address}:{served.port('sql')}"
    assert "no TLS" in ask(elsewhere, served, sql).stderr
    for url in (sql, f"http://{before.at}"):
        refused = ask(elsewhere, served, url, "--plain")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "does not answer" in refused.stderr


def test_the_longest_statement_passes_and_a_longer_one_is_told_so(
    elsewhere: OtherHost, served: Settings, before: Front, tmp_path: Path
) -> None:
    script, url = tmp_path / "long.sql", f"https://{before.at}"
    options = ["--ca", str(before.authority), "-f", str(script)]
    script.write_text(f"SELECT 42 AS answer --{'😀' * 65_500}\n")
    assert ask(elsewhere, served, url, *options, statement=None).stdout == "answer\n42\n"
    script.write_text(f"SELECT 42 AS answer --{'😀' * 130_000}\n")
    refused = ask(elsewhere, served, url, *options, statement=None)
    assert "too long" in refused.stderr


class Upstream:
    """Stands behind a front, and counts what it is sent."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.received = list[bytes]()
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            got = connection.recv(1 << 20)
            while len(got.partition(b"\r\n\r\n")[2]) < 5:
                got += connection.recv(1 << 20)
            self.received.append(got)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(scope="module")
def hasty(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("hasty"), upstream.port, "127.0.0.1", *SOON) as started:
        yield started


@pytest.fixture(scope="module")
def patient(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("patient"), upstream.port, "127.0.0.1", *LATE) as started:
        yield started


def connected(to: Front) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=to.authority)
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", to.port), timeout=PATIENCE_S), server_hostname="127.0.0.1"
    )


def status(to: Front, request: str) -> int:
    """What is answered; 0 where the answer was lost, for it came before the request was read."""
    with connected(to) as connection, suppress(OSError):
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])
    return 0


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (f"{HEAD}Content-Length: 5\r\n\r\nhello", 200),
        (f"{HEAD}Content-Length: {BODY_MAX + 1}\r\n\r\n{'x' * (BODY_MAX + 1)}", 413),
        (f"{HEAD}Content-Length: 1000000000\r\n\r\n{'x' * 400_000}", 413),
        (f"{HEAD}Content-Length: 1000000000\r\n\r\n", 408),
        (f"{HEAD}Content-Length: 99999999999999999999999999\r\n\r\n", 400),
        (f"{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
        (f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
        (f"{HEAD}Origin: https://page.example\r\nContent-Length: 5\r\n\r\nhello", 403),
        ("GET /quack HTTP/1.1\r\nHost: sql\r\n\r\n", 404),
        ("POST /other HTTP/1.1\r\nHost: sql\r\nContent-Length: 5\r\n\r\nhello", 404),
        (f"{HEAD}X-Long: {'x' * 400_000}\r\n\r\n", 400),
        (f"{HEAD}Content-Length: 5\r\n\r\nhel", 408),
    ],
    ids=lambda value: str(value)[:60],
)
def test_only_a_whole_question_of_a_bounded_size_reaches_the_process(
    hasty: Front, upstream: Upstream, request_: str, expected: int
) -> None:
    upstream.received.clear()
    answer = status(hasty, request_)
    assert answer == expected or (answer == 0 and len(request_) > BODY_MAX)
    assert len(upstream.received) == (expected == 200)


def test_who_sends_slowly_or_nothing_is_cut_off(hasty: Front) -> None:
    with (
        connected(hasty) as slow,
        connected(hasty) as idle,
        socket.create_connection(("127.0.0.1", hasty.port), timeout=PATIENCE_S) as silent,
    ):
        slow.sendall(f"{HEAD}Content-Length: 100\r\n\r\n".encode())
        while not select.select([slow], [], [], 0.05)[0]:
            slow.sendall(b"x")  # all of it, after five seconds
        assert b" 408 " in slow.recv(4096)
        assert b" 408 " in idle.recv(4096)
        assert silent.recv(4096) == b""


def test_one_address_has_32_connections(patient: Front) -> None:
    with ExitStack() as stack:
        held = _connections(stack, patient, "127.0.0.10", 40)
        until(lambda: len(held) - _ended(held) <= 32)
        assert len(held) - _ended(held) == 32


def test_all_addresses_have_128_connections_and_who_comes_then_waits(patient: Front) -> None:
    context = ssl.create_default_context(cafile=patient.authority)
    with ExitStack() as stack:
        held = [each for last in range(11, 15) for each in _connections(stack, patient, f"127.0.0.{last}", 32)]
        [late] = _connections(stack, patient, "127.0.0.15", 1)
        waiting = stack.enter_context(
            context.wrap_socket(late, server_hostname="127.0.0.1", do_handshake_on_connect=False)
        )
        waiting.settimeout(0.5)
        with pytest.raises(TimeoutError):
            waiting.do_handshake()
        held[0].close()
        waiting.settimeout(30)
        waiting.do_handshake()


def test_one_address_asks_300_times_in_ten_seconds_and_others_go_on(hasty: Front) -> None:
    """Or its made-up tokens would be all that the process asks the gateway about."""
    request = f"{HEAD}Content-Length: 5\r\n\r\nhello".encode()
    context = ssl.create_default_context(cafile=hasty.authority)
    there = socket.create_connection(("127.0.0.1", hasty.port), 10, ("127.0.0.21", 0))
    answers = list[bytes]()
    with there, context.wrap_socket(there, server_hostname="127.0.0.1") as connection:
        while not answers or answers[-1] == b"200":
            connection.sendall(request)
            answers.append(connection.recv(4096).split()[1])
    assert (len(answers), answers[-1]) == (301, b"429")
    assert status(hasty, request.decode()) == 200


def _connections(stack: ExitStack, to: Front, source: str, count: int) -> list[socket.socket]:
    """Those that were not refused while they were made."""
    made = []
    for _ in range(count):
        with suppress(ConnectionResetError):
            made.append(socket.create_connection(("127.0.0.1", to.port), 10, (source, 0)))
            stack.enter_context(made[-1])
    return made


def _ended(connections: list[socket.socket]) -> int:
    return len(select.select(connections, [], [], 0)[0])


def test_an_old_tls_is_refused(hasty: Front) -> None:
    context = ssl.create_default_context(cafile=hasty.authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    there = socket.create_connection(("127.0.0.1", hasty.port), timeout=10)
    with there, pytest.raises(ssl.SSLError, match=r"ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"):
        context.wrap_socket(there, server_hostname="127.0.0.1")
