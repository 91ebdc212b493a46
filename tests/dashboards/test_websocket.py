"""A page of another origin, or of a name that somebody pointed here, gets no figures from the dashboard."""

import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice.processes import stack
from sluice.settings import StackSettings
from tests.dashboards.served import is_healthy
from tests.patience import until


@pytest.fixture
def port(tmp_path: Path, free_offset: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a dashboard that was started as `sluice up` starts it."""
    monkeypatch.setenv("SLUICE_DASHBOARD_HOSTS", "pay.example, ")
    settings = StackSettings(data=tmp_path, port_offset=free_offset())
    [dashboard] = [process for process in stack(settings) if process.name == "dashboard"]
    environment = os.environ | {"SLUICE_DATA": str(tmp_path), "SLUICE_PORT_OFFSET": str(settings.port_offset)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(dashboard.command, env=environment, stdout=log, stderr=log)
        try:
            until(lambda: is_healthy(f"{settings.url('dashboard')}/_stcore/health"))
            yield settings.port("dashboard")
        finally:
            process.kill()
            process.wait()


def status(port: int, host: str, origin: str) -> int:
    """What a browser's websocket is answered with."""
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        f"Origin: {origin}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
        "\r\n",
    ]
    with socket.create_connection(("localhost", port), timeout=60) as peer:
        peer.sendall("\r\n".join(lines).encode())
        return int(peer.recv(100).split()[1])


def test_what_streamlit_reads_is_its_owners_alone(port: int, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "run" / "dashboard.toml").stat().st_mode) == 0o600


def test_only_its_own_pages_are_served(port: int) -> None:
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "pay.example"):
        assert status(port, host, f"http://{host}") == 101
    for host, origin in (
        (f"localhost:{port}", "http://evil.example"),
        (f"evil.example:{port}", f"http://evil.example:{port}"),
        (f"evil.example:{port}", f"http://localhost:{port}"),
    ):
        assert status(port, host, origin) == 403
