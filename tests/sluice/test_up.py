"""`sluice up` and `sluice status` from outside, as a user runs them."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from connectors.kafka import producer
from schemas.topics import TOPICS
from sluice.cli import main
from sluice.settings import StackSettings
from sluice.status import held, read
from sluice.up import is_free
from tests.patience import until

SLUICE = [sys.executable, "-m", "sluice"]


def sluice(*arguments: str, offset: int = 0, kafka: str = "") -> subprocess.Popen[str]:
    known = os.environ | {"SLUICE_PORT_OFFSET": str(offset), "SLUICE_KAFKA": kafka, "SLUICE_KAFKA_JIT": "c1"}
    return subprocess.Popen(
        [*SLUICE, *arguments], env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def answer(*arguments: str) -> tuple[int, str]:
    with sluice(*arguments) as ran:
        return ran.wait(60), ran.stdout.read() if ran.stdout else ""


def status(data: Path) -> dict[str, dict[str, object]]:
    code, text = answer("status", "--json", "--data", str(data))
    assert code == 0, text
    return {entry["name"]: entry for entry in json.loads(text)}


def is_ready(data: Path, *names: str) -> bool:
    return all(entry.state == "ready" for entry in read(StackSettings(data=data)) if entry.name in names)


def restarts(data: Path, name: str) -> int:
    (found,) = (entry.restarts for entry in read(StackSettings(data=data)) if entry.name == name)
    return found


@contextmanager
def up(data: Path, *names: str, offset: int, kafka: str = "") -> Iterator[subprocess.Popen[str]]:
    with sluice("up", "--data", str(data), "--only", *names, offset=offset, kafka=kafka) as process:
        try:
            until(lambda: is_ready(data, *names) or process.poll() is not None)
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_a_stack_that_starts_says_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    settings = StackSettings(data=tmp_path)
    state = tmp_path / "run" / "stack.json"
    state.parent.mkdir()
    state.write_text('[{"name": "kafka", "state": "ready", "pid": 1, "since_us": 1, "restarts": 0}]')
    with held(tmp_path):
        assert {entry.state for entry in read(settings)} == {"stopped"}


def test_status_where_nothing_runs(tmp_path: Path) -> None:
    entries = status(tmp_path / "nothing")
    names = ["kafka", "sandbox", "catcher", "vault", "fraud", "notifications", "analytics", "sql", "gateway"]
    assert list(entries) == [*names, "dashboard"]
    assert entries["kafka"] == {
        "name": "kafka",
        "state": "stopped",
        "pid": None,
        "uptime_s": None,
        "lag": None,
        "restarts": 0,
    }


@pytest.mark.stack
def test_a_stack_with_its_own_kafka(tmp_path: Path, free_offset: Callable[[], int]) -> None:
    offset = free_offset()
    with up(tmp_path, "kafka", "vault", offset=offset) as stack:
        now = status(tmp_path)
        pid = now["kafka"]["pid"]
        assert isinstance(pid, int)
        assert psutil.Process(pid).name() == "java"
        assert now["gateway"]["state"] == "stopped"
        client = producer(f"localhost:{9092 + offset}")
        assert {topic.name for topic in TOPICS} <= client.list_topics(timeout=60).topics.keys()
        os.kill(pid, signal.SIGKILL)
        until(lambda: restarts(tmp_path, "kafka") == 1 and is_ready(tmp_path, "kafka"))
        assert status(tmp_path)["vault"]["pid"] == now["vault"]["pid"]
        assert (tmp_path / "logs" / "kafka.log").exists()
        stack.send_signal(signal.SIGTERM)
        assert stack.wait(60) == 0
    assert {entry["state"] for entry in status(tmp_path).values()} == {"stopped"}
    assert not psutil.pid_exists(pid)


@pytest.mark.stack
def test_two_stacks_beside_each_other_and_none_twice(
    tmp_path: Path, kafka: str, free_offset: Callable[[], int]
) -> None:
    one, other, offset = tmp_path / "one", tmp_path / "other", free_offset()
    with up(one, "catcher", "vault", offset=offset, kafka=kafka):
        with up(other, "catcher", "vault", offset=free_offset(), kafka=kafka):
            pids = {status(data)[name]["pid"] for data in (one, other) for name in ("catcher", "vault")}
            assert len(pids) == 4
        assert is_ready(one, "catcher", "vault")
        code, text = answer("up", "--data", str(one))
        assert code == 1
        assert f"a stack runs on {one} already" in text
        with sluice("up", "--data", str(other), "--only", "catcher", offset=offset, kafka=kafka) as third:
            assert third.wait(60) == 1
            assert third.stdout
            taken = ", ".join(str(port + offset) for port in (8025, 1025, 9210))
            assert f"in use: port {taken};" in third.stdout.read()


def test_a_port_is_in_use_where_any_address_of_its_host_is(free_offset: Callable[[], int]) -> None:
    port = 8025 + free_offset()
    assert is_free("localhost", port)
    for family, _, _, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        with socket.create_server(address[:2], family=family):
            assert not is_free("localhost", port)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--only", "gatway"), "no such process: gatway"),
        (("gateway",), "unexpected: gateway"),
        (("--data", "/proc/nowhere"), "/proc/nowhere"),
        (("--data", __file__), __file__),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    code, text = answer("up", "--data", str(tmp_path), *arguments)
    assert code != 0
    assert says in text.splitlines()[-1]
    assert "Traceback" not in text


def test_several_gateways_on_one_file_are_refused(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["up", "--data", str(tmp_path)], env={"SLUICE_GATEWAYS": "2"})
    assert ran.exit_code == 1
    assert "PostgreSQL" in ran.output


@pytest.mark.parametrize("command", ["up", "status", "sql", "reconcile"])
@pytest.mark.parametrize("offset", ["one", "70000"])
def test_a_setting_that_makes_no_sense_is_named(command: str, offset: str) -> None:
    ran = CliRunner().invoke(main, [command], env={"SLUICE_PORT_OFFSET": offset})
    assert ran.exit_code == 1
    assert ran.output.startswith("Error: SLUICE_PORT_OFFSET: ")
    assert len(ran.output.splitlines()) == 1


def test_help_imports_none_of_the_commands() -> None:
    code = "import sys; from sluice.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "reconcile" in text
    assert not {"sluice.up", "confluent_kafka", "duckdb", "quart"} & set(text.split())
