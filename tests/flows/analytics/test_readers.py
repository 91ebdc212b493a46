"""Whose a token is: looked at again for each statement, and nobody waits for somebody else's check."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.sql_tokens import SqlTokensAway
from flows.analytics.access_control import AccessControl
from flows.analytics.readers import CHECKS_AT_ONCE, Readers, is_person
from schemas.accounts import SqlReader
from tests.patience import until

TOKEN = "sqt_" + "a" * 43
ADA = SqlReader("id_1", "acc_ada", "own", "acc_m")


class Gateway:
    """Stands for the gateway that is asked about tokens."""

    def __init__(self) -> None:
        self.knows, self.is_away = True, False
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0

    def check(self, token: str) -> SqlReader | None:
        self.asked += 1
        self.answers.wait(30)
        if self.is_away:
            raise SqlTokensAway
        return ADA if self.knows else None


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    one = Gateway()
    yield one
    one.answers.set()


@pytest.fixture
def access(gateway: Gateway) -> AccessControl:
    return AccessControl(Readers({"sql": "of this machine"}, gateway), lambda reader, _text: reader.account_id)


def test_a_token_that_is_revoked_ends_a_connection_at_its_next_statement(
    gateway: Gateway, access: AccessControl
) -> None:
    assert access.authenticate("c", TOKEN, "")
    assert access.authorize("c", "SELECT 1") == "acc_ada"
    gateway.knows = False
    assert "not valid any more" in str(access.authorize("c", "SELECT 1"))
    assert not access.authenticate("d", TOKEN, "")
    assert "too old" in str(access.authorize("d", "SELECT 1"))


def test_while_the_gateway_is_away_a_persons_statements_say_so(gateway: Gateway, access: AccessControl) -> None:
    gateway.is_away = True
    assert access.authenticate("c", TOKEN, "")
    assert "cannot be checked at the moment" in str(access.authorize("c", "SELECT 1"))
    gateway.is_away = False
    assert access.authorize("c", "SELECT 1") == "acc_ada"


def test_a_token_of_this_machine_asks_nobody(gateway: Gateway, access: AccessControl) -> None:
    gateway.is_away = True
    assert access.authenticate("c", "of this machine", "")
    assert access.authorize("c", "SELECT 1") == "sql"
    for strange in ("sqt_short", "eyJ", "eyJ.a.b", "eyJ" + "a" * 4096 + ".b.c"):
        assert not access.authenticate("d", strange, "")
    assert gateway.asked == 0


def test_the_access_token_of_a_login_is_asked_about(gateway: Gateway, access: AccessControl) -> None:
    assert access.authenticate("c", f"eyJ{'a' * 60}.eyJ{'b' * 900}.{'c' * 86}", "")
    assert access.authorize("c", "SELECT 1") == "acc_ada"


def test_a_gateway_that_hangs_holds_no_more_than_some_threads(gateway: Gateway, access: AccessControl) -> None:
    gateway.answers.clear()
    with ThreadPoolExecutor(CHECKS_AT_ONCE) as threads:
        held = [threads.submit(access.authenticate, f"c{n}", TOKEN, "") for n in range(CHECKS_AT_ONCE)]
        until(lambda: gateway.asked == CHECKS_AT_ONCE)
        assert access.authenticate("one more", TOKEN, "")
        assert "cannot be checked" in str(access.authorize("one more", "SELECT 1"))
        assert access.authenticate("local", "of this machine", "")
        gateway.answers.set()
        assert all(each.result() for each in held)


def test_rows_to_append_are_refused_to_everybody(access: AccessControl) -> None:
    access.authenticate("c", "of this machine", "")
    assert access.authorize("c", " insert INTO payments VALUES (1)") is None


def test_who_is_a_person() -> None:
    assert is_person(ADA)
    assert not is_person(SqlReader("sql", "sql", "all"))
