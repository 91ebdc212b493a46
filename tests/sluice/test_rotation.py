"""`sluice keys rotate NAME`: operators read of every secret how it rotates, and the command does just that."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection

from connectors.secret_files import SecretFile
from gateway.books import clients
from gateway.books.opening import migrate, run_once
from gateway.identity.tokens import hash_secret
from gateway.seed import DASHBOARDS, _dashboards, _service
from gateway.settings import GatewaySettings
from schemas.times import steady_micros
from sluice.init import SECRETS, VAULT_KEYS
from sluice.keys import keys
from sluice.rotation import ROTATIONS
from tests.tidy.sources import ROOT

# By `--tokens`, without a name, in Grafana, and made anew or put there. The last is a name, and no secret.
OTHERWISE = {
    *("gateway.pem", "vault.kek.1", "grafana.password", "kafka.pem", "kafka.ca.pem", "proxy.pem"),
    "kafka.cluster",
}
NEVER = {"gateway.key", "prints.key", "vault.hmac"}


def rotate(data: Path, *words: str, given: str = "") -> Result:
    return CliRunner().invoke(keys, ["rotate", *words, "--data", str(data)], input=given)


def explained() -> dict[str, str]:
    """The rows of the operators' table, by secret."""
    section = (ROOT / "docs/operators.md").read_text().split("## Every secret, and how it rotates")[1]
    rows = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| `")]
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def names_of_compose(folder: Path) -> set[str]:
    """Of what `make secrets` makes; without keys in it, which take long and have tests of their own."""
    (folder / "openssl").symlink_to("/bin/true")
    path = f"{folder}:{os.environ['PATH']}"
    command = [ROOT / "deploy" / "make-secrets", folder / "secrets"]
    ran = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    return {path.name for path in (folder / "secrets").iterdir()}


def test_every_secret_that_is_made_has_its_row_and_its_command(tmp_path: Path) -> None:
    made = {*SECRETS, *VAULT_KEYS, *names_of_compose(tmp_path)}
    assert made - explained().keys() == set()
    assert made - ROTATIONS.keys() == OTHERWISE | NEVER
    assert {name for name, row in explained().items() if "| cannot |" in row} == NEVER
    assert explained().keys() - made == set()


def test_ours_is_made_up_and_put_in_place_with_an_overlap(tmp_path: Path) -> None:
    assert rotate(tmp_path, "vault.client").exit_code == 0
    path = tmp_path / "secrets" / "vault.client"
    old = path.read_text()
    assert rotate(tmp_path, "vault.client").exit_code == 0
    assert path.read_text() != old
    assert SecretFile(path).accepts(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_for_several_hosts_the_next_one_is_put_there_first_and_then_taken(tmp_path: Path) -> None:
    said = rotate(tmp_path, "warehouse.sql.token", "--next")
    assert "copy it to each host" in said.output
    coming = (tmp_path / "secrets" / "warehouse.sql.token.next").read_text()
    assert rotate(tmp_path, "warehouse.sql.token").exit_code == 0
    assert (tmp_path / "secrets" / "warehouse.sql.token").read_text() == coming


def test_what_others_make_is_asked_for_and_checked(tmp_path: Path) -> None:
    assert rotate(tmp_path, "paypal.secret", given="typed\n").exit_code == 0
    assert (tmp_path / "secrets" / "paypal.secret").read_text() == "typed"
    refused = rotate(tmp_path, "visa.secret", "--from", "-", given="no base64!")
    assert (refused.exit_code, "base64" in str(refused.exception)) == (1, True)
    assert rotate(tmp_path, "visa.secret", "--from", "-", given="key-2 bmV3\n").exit_code == 0
    assert (tmp_path / "secrets" / "visa.secret").read_text() == "key-2 bmV3"
    assert "typed" not in rotate(tmp_path, "paypal.secret", given="typed\n").output


@pytest.mark.parametrize("name", [*NEVER, "nobodys.secret", "../gateway.key"])
def test_what_cannot_rotate_is_refused(tmp_path: Path, name: str) -> None:
    refused = rotate(tmp_path, name)
    assert refused.exit_code == 1
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("client_id", ["sql", DASHBOARDS])
def test_a_service_has_two_secrets_for_the_overlap_whichever_gateway_starts(
    tmp_path: Path, client_id: str
) -> None:
    settings = GatewaySettings(data=tmp_path)
    url, client = settings.books_url(), _dashboards("http://x") if client_id == DASHBOARDS else _service(client_id)
    (tmp_path / "secrets").mkdir(parents=True)
    (tmp_path / "secrets" / "gateway.key").write_bytes(b"k" * 32)
    migrate(url)
    path = tmp_path / "secrets" / f"{client_id}.secret"
    path.write_text("old")

    def start(conn: Connection, secret: str) -> None:
        clients.register(conn, client, hash_secret(secret))

    def good(conn: Connection, later_s: int) -> set[bytes]:
        return set(clients.secrets_of(conn, client_id, steady_micros() + later_s * 1_000_000))

    run_once(url, lambda conn: start(conn, "old"))
    assert rotate(tmp_path, path.name, "--overlap", "60s").exit_code == 0
    new = path.read_text()
    for starting in (new, "old"):  # a host that has the new file, and one that has it not yet
        run_once(url, lambda conn, secret=starting: start(conn, secret))
        assert run_once(url, lambda conn: good(conn, 0)) == {hash_secret("old"), hash_secret(new)}
        assert run_once(url, lambda conn: good(conn, 61)) == {hash_secret(new)}
    assert asyncio.run(_acts(settings)) == 1
    run_once(url, lambda conn: start(conn, "by hand"))
    assert run_once(url, lambda conn: good(conn, 0)) == {hash_secret("by hand")}


async def _acts(settings: GatewaySettings) -> int:
    count = "SELECT count(*) FROM audit WHERE kind = 'client_rotated'"
    return await asyncio.to_thread(
        run_once, settings.books_url(), lambda conn: conn.exec_driver_sql(count).scalar_one()
    )
