"""`sluice run` and `sluice ready`: one process by itself, as a container has it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from schemas.settings import PORTS
from tests.patience import until

SLUICE = [sys.executable, "-m", "sluice"]


@contextmanager
def running(name: str, known: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([*SLUICE, "run", name], env=os.environ | known, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def is_ready(name: str, known: dict[str, str]) -> bool:
    return subprocess.run([*SLUICE, "ready", name], env=os.environ | known, check=False).returncode == 0


@pytest.fixture
def known(tmp_path: Path, free_offset: Callable[[], int]) -> dict[str, str]:
    return {"SLUICE_DATA": str(tmp_path), "SLUICE_PORT_OFFSET": str(free_offset())}


@pytest.mark.parametrize("name", ["vault", "catcher"])
def test_a_command_becomes_the_process_and_another_says_when_it_is_ready(name: str, known: dict[str, str]) -> None:
    assert not is_ready(name, known)
    with running(name, known) as process:
        until(lambda: is_ready(name, known))
        assert psutil.Process(process.pid).cmdline()[-1].endswith(name)
        assert psutil.Process(process.pid).children() == []
        process.terminate()
        assert process.wait(60) == 0
    assert not is_ready(name, known)


def test_a_flow_makes_its_recovery_store_and_beats(known: dict[str, str], tmp_path: Path, kafka: str) -> None:
    known["SLUICE_KAFKA"] = kafka
    with running("fraud", known):
        until(lambda: is_ready("fraud", known))
        assert (tmp_path / "fraud" / "part-0.sqlite3").exists()


def test_servers_listen_where_they_are_told(known: dict[str, str]) -> None:
    known["SLUICE_HOST"] = "127.0.0.3"
    ports = {PORTS[name] + int(known["SLUICE_PORT_OFFSET"]) for name in ("catcher", "smtp")}
    with running("catcher", known) as process:
        until(lambda: listening(process.pid) == {("127.0.0.3", port) for port in ports})


def listening(pid: int) -> set[tuple[str, int]]:
    return {(found.laddr.ip, found.laddr.port) for found in psutil.Process(pid).net_connections("tcp")}


def test_a_process_that_there_is_not_is_refused() -> None:
    ran = subprocess.run([*SLUICE, "run", "gatway"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "no such process: gatway" in ran.stderr
