"""The gateway as a process of its own: it starts, logs JSON, finishes what is in hand, and ends well."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from benchmarks.machine.opening import secret_beside
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.gateway.conftest import NO_KAFKA
from tests.patience import until

WITHIN_S = 60
REFRESH = json.dumps({"refresh_token": "hush"}).encode()


class Process:
    """A running gateway and where it listens."""

    def __init__(self, popen: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.popen = popen
        self.url = url
        self.log = log

    def begun(self, path: str, body: bytes) -> AbstractContextManager[HTTPConnection]:
        """A connection on which a POST has been sent, but for the last byte of its body."""
        line = HTTPConnection(urlsplit(self.url).netloc, timeout=WITHIN_S)
        line.putrequest("POST", path)
        line.putheader("Content-Length", str(len(body)))
        line.endheaders(body[:-1])
        return closing(line)

    def is_open(self) -> bool:
        """Whether it answers."""
        try:
            with urlopen(self.url + "/healthz", timeout=WITHIN_S) as answer:
                return bool(answer.status == 200)
        except URLError:
            return False


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, vault_socket: Path) -> Iterator[Process]:
    (port,) = unused_ports(1)
    folder = tmp_path_factory.mktemp("process")
    environment = os.environ | {
        "SLUICE_DATA": str(folder / "data"),
        "SLUICE_PORT_OFFSET": str(port - PORTS["gateway"]),
        "SLUICE_VAULT": str(vault_socket),
        "SLUICE_VAULT_CLIENT": str(secret_beside(vault_socket)),
        "SLUICE_KAFKA": NO_KAFKA,
        "SLUICE_SEED": "1",
    }
    log = folder / "log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", "gateway"], env=environment, stdout=file, stderr=subprocess.DEVNULL
        ) as popen,
    ):
        try:
            made = Process(popen, f"http://localhost:{port}", log)
            until(made.is_open)
            yield made
        finally:
            popen.kill()


def test_its_secrets_are_its_owners_alone(process: Process) -> None:
    secrets = process.log.parent / "data" / "secrets"
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_no_card_number_in_its_memory_is_ever_dumped(process: Process) -> None:
    limits = Path(f"/proc/{process.popen.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


def test_a_websocket_is_refused_and_its_address_not_logged(process: Process) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "a",
        "Sec-WebSocket-Version": "13",
    }
    assert status(process, upgrade) == 401
    assert "hush" not in process.log.read_text()


def test_nobody_escapes_the_limits_by_a_forwarded_address(process: Process) -> None:
    addresses = (f"203.0.{n // 256}.{n % 256}" for n in range(5_000))
    assert 429 in (status(process, {"X-Forwarded-For": address}) for address in addresses)


def test_it_ends_well_after_the_requests_in_hand_and_prints_nothing_but_json(process: Process) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(process.begun("/v1/login/refresh", REFRESH)) for _ in range(8)]
        assert process.is_open()  # it answers this one after it has read those
        process.popen.send_signal(signal.SIGTERM)
        until(lambda: not process.is_open())
        for line in lines:
            line.send(REFRESH[-1:])
        assert [line.getresponse().status for line in lines] == [401] * 8
    assert process.popen.wait(WITHIN_S) == 0
    said = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert {line["process"] for line in said} == {"gateway"}
    assert "request.answered" in {line["event"] for line in said}
    assert "hush" not in process.log.read_text()


def test_a_setting_it_cannot_use_is_one_clear_line() -> None:
    environment = os.environ | {"SLUICE_DATABASE_URL": "mysql://db/sluice"}
    command = [sys.executable, "-m", "gateway"]
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=WITHIN_S)
    (line,) = ended.stdout.splitlines()
    assert "SLUICE_DATABASE_URL" in json.loads(line)["reason"]
    assert (ended.returncode, ended.stderr) == (1, b"")


def status(process: Process, headers: dict[str, str]) -> int:
    """What somebody without a token is answered."""
    with (
        pytest.raises(HTTPError) as refused,
        urlopen(Request(f"{process.url}/v1/me?secret=hush", headers=headers)),
    ):
        pass
    with refused.value as answer:
        return int(answer.code)
