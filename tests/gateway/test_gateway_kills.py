"""kill -9 of a gateway between what it did and its answer: the key gets the answer, and nothing is done twice."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from gateway.settings import SEED_PASSWORD, GatewaySettings
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.gateway.conftest import NO_KAFKA
from tests.gateway.databases import Databases
from tests.patience import until

WITHIN_S = 30
# A gateway that is killed as soon as a method of its own has done something.
DIES = """
import os, signal, sys
from gateway.__main__ import main
from gateway.books.personal_books import PersonalBooks
from gateway.vault.client import VaultClient

POINTS = {"books": (PersonalBooks, "write", "run_once"), "vault": (VaultClient, "store", "")}
kind, method, argument = POINTS[sys.argv[1]]
original = getattr(kind, method)

async def do_and_die(self, what, *args, **kwargs):
    done = await original(self, what, *args, **kwargs)
    if not argument or what.__name__ == argument:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

setattr(kind, method, do_and_die)
main()
"""
MERCHANT = ("/v1/merchants", {"name": "Once"})
CARD = ("/v1/cards", {"number": "4000056655665556", "exp_month": 1, "exp_year": 2039})


class KilledGateway:
    """A gateway's data, on which processes come and go."""

    def __init__(self, settings: GatewaySettings) -> None:
        (self._port,) = unused_ports(1)
        self._settings = settings
        self.tokens: dict[str, str] = {}

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process that is ready."""
        environment = {
            "SLUICE_DATA": str(self._settings.data),
            "SLUICE_VAULT": str(self._settings.vault),
            "SLUICE_VAULT_CLIENT": str(self._settings.vault_client),
            "SLUICE_KAFKA": NO_KAFKA,
            "SLUICE_SEED": "1",  # so that the demo's admin needs no second factor
            "SLUICE_PORT_OFFSET": str(self._port - PORTS["gateway"]),
        }
        with subprocess.Popen(
            [sys.executable, *command], env=os.environ | environment, stdout=subprocess.DEVNULL
        ) as process:
            try:
                until(lambda: self.ask("GET", "/healthz")[0] == 200)
                yield process
            finally:
                process.kill()

    def ask(self, method: str, path: str, body: Any = None, who: str = "", key: str = "") -> tuple[int, bytes]:
        """Status and body; 0 where the connection broke."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        with closing(HTTPConnection("localhost", self._port, timeout=WITHIN_S)) as line, suppress(OSError):
            line.request(method, path, json.dumps(body), headers | ({"Idempotency-Key": key} if key else {}))
            answer = line.getresponse()
            return answer.status, answer.read()
        return 0, b""

    def log_in(self, who: str) -> None:
        """Keep a token: sessions outlive a kill."""
        body = {"email": f"{who}@example.com", "password": SEED_PASSWORD}
        self.tokens[who] = json.loads(self.ask("POST", "/v1/login", body)[1])["access_token"]

    def count(self, query: str) -> int:
        """What stands in the books."""
        with closing(sqlite3.connect(self._settings.data / "books.sqlite3")) as conn:
            return int(conn.execute(query).fetchone()[0])


def test_what_was_done_before_a_kill_is_answered_after_it(databases: Databases, tmp_path: Path) -> None:
    killed = KilledGateway(databases.settings("sqlite", tmp_path / "data"))
    for dies_in, who, (path, body) in (("books", "admin", MERCHANT), ("vault", "customer", CARD)):
        with killed.running("-c", DIES, dies_in) as process:
            killed.log_in(who)
            assert killed.ask("POST", path, body, who, key="once") == (0, b"")
            assert process.wait(WITHIN_S) == -signal.SIGKILL
    with killed.running("-m", "gateway"):
        for who, (path, body) in (("admin", MERCHANT), ("customer", CARD)):
            first, again = (killed.ask("POST", path, body, who, key="once") for _ in range(2))
            assert first == again
            assert first[0] == 201
        listed = json.loads(killed.ask("GET", "/v1/cards", who="customer")[1])["data"]
        assert [card["last4"] for card in listed] == ["5556"]
    assert killed.count("SELECT count(*) FROM accounts WHERE role = 'merchant'") == 2  # and the seeded one
