"""`sluice doctor` finds what is wrong, says one remedy for each, and changes nothing."""

import json
import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.books.opening import migrate, run_once
from schemas.settings import PORTS
from sluice.cli import main
from sluice.doctor import configuration, machine, services
from sluice.doctor.diagnoses import Diagnosis
from sluice.init import SECRETS, VAULT_KEYS
from sluice.settings import StackSettings
from tests.conftest import unused_offset


def doctor(data: Path, *flags: str, **given: str) -> Result:
    known = {name: None for name in os.environ if name.startswith("SLUICE_")}
    return CliRunner().invoke(main, ["doctor", "--data", str(data), *flags], env={**known, **given})


def about(check: str, found: list[Diagnosis]) -> Diagnosis:
    (one,) = [finding for finding in found if finding.check == check]
    return one


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A data directory with every secret in it."""
    tmp_path.chmod(0o700)
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    for name in (*SECRETS, *VAULT_KEYS):
        (folder / name).write_bytes(b"x" * 32)
        (folder / name).chmod(0o600)
    return tmp_path


def test_a_machine_before_the_first_start_has_nothing_that_failed(tmp_path: Path) -> None:
    ran = doctor(tmp_path / "data", "--json", SLUICE_PORT_OFFSET=str(unused_offset()))
    found = json.loads(ran.output)
    assert [one for one in found if one["state"] == "failed"] == [], ran.output
    assert ran.exit_code == 0
    assert not (tmp_path / "data").exists()
    checks = {one["check"] for one in found}
    assert checks >= {"python", "packages", "jars", "disk", "clock", "ports", "secrets", "books", "kafka", "vault"}


def test_each_thing_that_is_wrong_is_a_line_with_one_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    offset = unused_offset()
    with socket.create_server(("localhost", PORTS["warehouse"] + offset)):
        ran = doctor(
            tmp_path,
            SLUICE_PORT_OFFSET=str(offset),
            SLUICE_PROFILE="production",
            SLUICE_LEASE="1",
            SLUICE_KAFKA="localhost:1",
        )
    assert ran.exit_code == 1
    for text in ("others may read", f"in use: {PORTS['warehouse'] + offset}", "SLUICE_LEASE", "nobody listens at"):
        assert text in ran.output
    assert "gateway.pem is missing" in ran.output
    lines = ran.output.splitlines()
    failures = [number for number, line in enumerate(lines) if " FAILED " in line]
    assert len(failures) > 5
    assert all("→" in lines[number + 1] for number in failures)


def test_a_secret_that_others_may_read_is_found(private: Path) -> None:
    settings = StackSettings(data=private, profile="production")
    assert about("secrets", configuration.secrets(settings)).state == "ok"
    (private / "secrets" / "gateway.key").chmod(0o640)
    found = about("secrets", configuration.secrets(settings))
    assert (found.state, found.remedy) == ("failed", f"chmod go= {private / 'secrets' / 'gateway.key'}")


def test_keys_that_are_gone_are_put_back_and_not_made_anew(private: Path) -> None:
    for name in ("prints.key", "vault.kek.1"):
        (private / "secrets" / name).unlink()
    found = configuration.secrets(StackSettings(data=private, profile="production"))
    assert len(found) == 2
    assert all("from your copy" in finding.remedy for finding in found)


def test_packages_are_held_against_the_lock(tmp_path: Path) -> None:
    assert about("packages", machine.packages()).state == "ok"
    lock = tmp_path / "requirements.lock"
    lock.write_text("msgspec==0.0.1 \\\n    --hash=sha256:00\nnobody-has-this==1 ; sys_platform == 'win32'\n")
    found = about("packages", machine.packages(lock))
    assert (found.state, found.says) == ("failed", "msgspec is not as locked")


def test_a_jar_that_is_not_as_locked_is_found(tmp_path: Path) -> None:
    settings = StackSettings(cache=tmp_path)
    assert about("jars", machine.broker_jars(settings)).state == "warning"
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "kafka-clients-4.3.1.jar").write_bytes(b"half a jar")
    assert about("jars", machine.broker_jars(settings)).says == "not as locked: kafka-clients-4.3.1.jar"


def test_books_of_another_release_are_told_apart(private: Path) -> None:
    path = private / "books.sqlite3"
    assert about("books", services.books(private)).state == "unknown"
    assert not path.exists()
    migrate(f"sqlite:///{path}")
    assert about("books", services.books(private)).state == "ok"
    for revision, state in (("0001", "warning"), ("9999_of_tomorrow", "failed")):
        run_once(f"sqlite:///{path}", lambda conn, to=revision: _stamp(conn, to))
        assert about("books", services.books(private)).state == state, revision


def _stamp(conn: object, revision: str) -> None:
    conn.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))  # type: ignore[attr-defined]


def test_a_full_disk_is_told_before_it_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for free, state in ((2**29, "failed"), (5 * 2**30, "warning"), (50 * 2**30, "ok")):
        usage = type("Usage", (), {"free": free, "total": 100 * 2**30})
        monkeypatch.setattr("shutil.disk_usage", lambda _path, found=usage: found)
        assert about("disk", machine.disk(tmp_path / "not" / "there")).state == state


def test_a_clock_beside_the_databases_is_told() -> None:
    now_s = services.now_micros() / 1_000_000
    assert about("clock of the books", services._clock(now_s)).state == "ok"
    assert "+10" in about("clock of the books", services._clock(now_s - 10)).says


def test_a_node_of_several_leaves_the_look_at_kafka_to_its_clients() -> None:
    settings = StackSettings(kafka_nodes="kafka,kafka-2,kafka-3", kafka_advertised="kafka-2")
    assert about("kafka", services.kafka(settings)).state == "unknown"
    assert "SLUICE_KAFKA" in about("kafka", services.kafka(settings)).says


def test_books_whose_password_is_not_there_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://sluice@localhost:1/sluice?password_file={tmp_path / 'none'}"
    monkeypatch.setenv("SLUICE_DATABASE_URL", url)
    found = about("books", services.books(tmp_path))
    assert (found.state, "does not exist" in found.says) == ("failed", True)


def test_vaults_of_other_hosts_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.vault.client.TIMEOUT_S", 0.1)
    monkeypatch.setenv("SLUICE_VAULT_CERTIFICATES", str(tmp_path))
    monkeypatch.setenv("SLUICE_VAULT", "tls://vault.example.test:9444")
    found = about("vault", services.vault(tmp_path))
    assert (found.state, "tls://vault.example.test:9444" in found.says) == ("failed", True), found
