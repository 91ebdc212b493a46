"""A gateway: real books, a real vault process, the accounts of the demo, and a client that logs in."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import MethodType
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
from quart import Quart
from quart.testing import TestApp
from sqlalchemy import Connection
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from benchmarks.machine.opening import await_vault
from gateway.app import create_app
from gateway.identity.hasher import HasherProcess
from gateway.problems import PROBLEMS
from gateway.runtime import EXTENSION, Runtime
from gateway.settings import SEED_PASSWORD, GatewaySettings
from gateway.web.openapi import PAGE, codes_of
from tests import patience
from tests.gateway.databases import Databases, Kind, run_in_greenlet

VAULT_WITHIN_S = 60
VAULT_REPLY_S = 20.0  # of a busy machine
LOOPBACK = "127.0.0.1"
NO_KAFKA = "localhost:1"  # nobody listens there
PASSWORD = "correct horse battery"
ASKING = {"backtest", "pages", "payments", "routes", "web"}  # folders of tests that ask over HTTP
OF_GATEWAYS = {"gateway_settings", "shared_settings"}  # the fixtures
PEOPLE = ("customer", "merchant", "analyst", "admin", "replay")


class PatientApp(TestApp):
    """The app as tests start and stop it: a busy machine takes longer than the six seconds that Quart waits."""

    def __init__(self, app: Quart) -> None:
        super().__init__(app, patience.PATIENCE_S, patience.PATIENCE_S)


Quart.test_app_class = PatientApp


class Answer(msgspec.Struct):
    """What a client got. `json` is None where the body is none."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None

    @property
    def code(self) -> str | None:
        """The problem's code; None where it is no problem."""
        problem = self.headers.get("Content-Type") == "application/problem+json"
        return self.json["code"] if problem else None


class Gateway:
    """The app in this process, asked over its ASGI interface. `who` is one of `PEOPLE`, a token, or nobody."""

    def __init__(self, app: Quart) -> None:
        self.app = app
        self.runtime: Runtime = app.extensions[EXTENSION]
        self.runtime.vault._timeout_s = VAULT_REPLY_S
        self._tokens: dict[str, str] = {}

    async def ask(
        self, method: str, path: str, body: Any = None, who: str | None = None, ip: str = LOOPBACK, **headers: str
    ) -> Answer:
        """Send a request from `ip`; a `body` that is not bytes goes as JSON. `traceparent=…` becomes a header."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            sent["Authorization"] = f"Bearer {await self.token(who)}"
        data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        client = self.app.test_client(use_cookies=False)
        response = await client.open(path, method=method, data=data, headers=sent, scope_base={"client": (ip, 1)})
        answer = Answer(response.status_code, await response.get_data(as_text=False), response.headers)
        self._check_declared(method, path, answer)
        return answer

    def _check_declared(self, method: str, path: str, answer: Answer) -> None:
        """Every answer that any test gets is one that its route declared, code and shape."""
        if method == "OPTIONS" and answer.status == 204:  # a preflight belongs to no route
            return
        try:
            name, _ = self.app.url_map.bind("localhost").match(path.partition("?")[0], method)
        except HTTPException:
            assert answer.status in (404, 405)
            return
        rules = cast(Any, self.app.view_functions[name]).rules
        if answer.code:
            assert answer.code in codes_of(rules), f"{method} {path} did not declare {answer.code}"
            return
        told = {PROBLEMS[code].status for code in codes_of(rules)} if rules.media == PAGE else set()
        assert answer.status in rules.answers or answer.status in told, f"{method} {path}: {answer.status}"
        shape = rules.answers.get(answer.status, str)
        if shape is None:
            assert not answer.body
        elif shape is not str and answer.headers["Content-Type"] == "application/json":
            msgspec.json.decode(answer.body, type=shape)

    async def token(self, who: str) -> str:
        """An access token of one of `PEOPLE`; anything else is a token already."""
        if who not in PEOPLE:
            return who
        if who not in self._tokens:
            self._tokens[who] = (await self.log_in(f"{who}@example.com")).json["access_token"]
        return self._tokens[who]

    async def log_in(self, email: str, password: str = SEED_PASSWORD, **more: str) -> Answer:
        """What a login is answered; `more` as in `ask`."""
        return await self.ask("POST", "/v1/login", {"email": email, "password": password}, **more)

    async def sign_up(self, email: str = "", **fields: str) -> str:
        """A new customer's access token."""
        email = email or f"{uuid4().hex}@example.com"
        body = {"email": email, "password": PASSWORD, "name": "Somebody"} | fields
        assert (await self.ask("POST", "/v1/accounts", body)).status == 201
        return str((await self.log_in(email, PASSWORD)).json["access_token"])

    async def service_token(self, service: str = "notifications") -> str:
        """An access token of a service client."""
        secret = (self.runtime.settings.secrets() / f"{service}.secret").read_text().strip()
        form = f"grant_type=client_credentials&client_id={service}&client_secret={secret}".encode()
        answer = await self.ask("POST", "/oauth/token", form, content_type="application/x-www-form-urlencoded")
        return str(answer.json["access_token"])


class SharedHasher(HasherProcess):
    """One that outlives the gateways that ask it."""

    def close(self) -> None:
        """Go on."""


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing() -> Iterator[None]:
    """Little work per password, for tests log in hundreds of times; `test_passwords` has the real amount.

    The gateways of this process share the processes that hash.
    """
    shared: dict[int, SharedHasher] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.identity.passwords.MEMORY_KIB", 64)
        patch.setattr(
            "gateway.identity.passwords.HasherProcess",
            lambda nicer: shared.setdefault(nicer, SharedHasher(nicer)),
        )
        yield
        for hasher in shared.values():
            HasherProcess.close(hasher)


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Iterator[None]:
    """Each app reads each of its routes and compiles two functions for it: half of its start, a thousand times."""
    compile_rule, compiled = Rule.compile, dict[tuple[object, ...], Rule]()

    def compile_once(rule: Rule) -> None:
        key = (rule.rule, repr(rule.defaults), bool(rule.merge_slashes), rule.subdomain, rule.host)
        known = compiled.get(key)
        if known is None:
            compile_rule(rule)
            compiled[key] = rule
            return
        for name in ("_parts", "_trace", "_converters", "arguments"):
            setattr(rule, name, getattr(known, name))
        for name in ("_build", "_build_unknown"):
            setattr(rule, name, MethodType(getattr(known, name).__func__, rule))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", compile_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def without_kafka() -> Iterator[None]:
    """Rows of a gateway may wait for a Kafka that never comes; its end waits neither for them nor for a poll."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.events.outbox_relay.CLOSED_WITHIN_S", 0.001)
        for module in ("outbox_relay", "verdict_inbox"):
            patch.setattr(f"gateway.events.{module}.POLL_S", 0.005)
        yield


@pytest.fixture(autouse=True)
def with_kafka(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a broker, a gateway's last rows reach it."""
    if "kafka" in request.fixturenames:
        monkeypatch.setattr("gateway.events.outbox_relay.CLOSED_WITHIN_S", 2.0)


@pytest.fixture(scope="session")
def vault_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a vault process that all tests of the gateway share."""
    data = tmp_path_factory.mktemp("vault")
    path = data / "vault.sock"
    command = [sys.executable, "-m", "gateway.vault"]
    environment = {"SLUICE_DATA": str(data), "SLUICE_VAULT": str(path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            await_vault(path, VAULT_WITHIN_S)
            yield path
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def databases(
    vault_socket: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Databases]:
    """Books on either database; PostgreSQL is started once a test asks for it."""
    folder = tmp_path_factory.mktemp("databases")
    made = Databases(folder, vault_socket, lambda: request.getfixturevalue("postgres"), NO_KAFKA)
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Kind:
    """What this test's books are in: each test that uses books runs on both."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def conn(databases: Databases, database: Kind) -> Iterator[Connection]:
    """A transaction on books without rows; it is never committed."""
    with databases.transaction(database) as conn:
        yield conn


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, what asks the API runs with its first parameters: most send the same statements with all.

    Whose parameters have statements, races or times of their own is marked `each_on_postgres`.
    """
    seen: set[str] = set()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        function = item.nodeid.partition("[")[0]
        asks = _is_marked(item, "postgres") and not _is_marked(item, "each_on_postgres") and _asks_the_api(item)
        (left_out if asks and function in seen else kept).append(item)
        if asks:
            seen.add(function)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def _is_marked(item: pytest.Item, name: str) -> bool:
    return item.get_closest_marker(name) is not None


def _asks_the_api(item: pytest.Item) -> bool:
    has_gateway = isinstance(item, pytest.Function) and bool(OF_GATEWAYS.intersection(item.fixturenames))
    return has_gateway and item.path.parent.name in ASKING


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run plain tests on PostgreSQL in a greenlet, from which their statements are awaited."""
    names = pyfuncitem._fixtureinfo.argnames
    is_async = pyfuncitem.get_closest_marker("asyncio") is not None
    on_postgres = pyfuncitem.funcargs.get("database") == "postgres"
    if is_async or not on_postgres or not {"conn", "databases"}.intersection(names):
        return None
    pyfuncitem.funcargs["databases"].prepare()
    run_in_greenlet(pyfuncitem.obj, {name: pyfuncitem.funcargs[name] for name in names})
    return True


@pytest.fixture
def gateway_settings(databases: Databases, database: Kind, tmp_path: Path) -> Iterator[GatewaySettings]:
    """Settings of a gateway with a copy of the seeded data; nobody listens where its Kafka would be."""
    settings = databases.settings(database, tmp_path / "data")
    yield settings
    databases.drop(settings.database_url)


@pytest.fixture
async def gateway(gateway_settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A running gateway of this test's own."""
    app = create_app(gateway_settings)
    async with app.test_app():
        yield Gateway(app)
