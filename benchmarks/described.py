"""What the gateway's OpenAPI document says may be asked: a valid request for each operation, made of its examples.

The proofs that go over all routes go by it, so that a new route is in them.
"""

import base64
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import aiohttp
import msgspec

from gateway.roles import ROLE_SCOPES, ROLES
from gateway.seed import SERVICES

SPENT_BY = {"POST /v1/logout", "DELETE /v1/me"}  # a session or an account is gone afterwards
STRANGERS_PASSWORD = "correct horse battery staple"
FORM, CSV = "application/x-www-form-urlencoded", "text/csv"
JSON = "application/json"


class DescribedOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation. `path` has its variables as `{name}`; `scope` None: it needs no token; `body`: its example."""

    method: str
    path: str
    scope: str | None
    variables: tuple[str, ...]
    query: tuple[str, ...]
    takes_key: bool
    media_type: str | None
    body: Any = None

    def name(self) -> str:
        """`POST /v1/payments`."""
        return f"{self.method} {self.path}"

    def target(self, values: dict[str, str]) -> str:
        """Its path with `values` for its variables."""
        path = self.path
        for name in self.variables:
            path = path.replace(f"{{{name}}}", quote(values[name], safe=""))
        return path

    def encoded(self, body: Any) -> bytes:
        """A body as it goes over the wire."""
        if self.media_type == FORM and isinstance(body, dict):
            return urlencode(body).encode()
        return body.encode() if self.media_type == CSV and isinstance(body, str) else msgspec.json.encode(body)


def operations(document: dict[str, Any]) -> list[DescribedOperation]:
    """Every operation of an OpenAPI document, in its order."""
    return [
        _operation(document, path, method, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


def _operation(document: dict[str, Any], path: str, method: str, described: dict[str, Any]) -> DescribedOperation:
    parameters = [(one["in"], one["name"]) for one in described["parameters"]]
    security = described["security"]
    media_type, content = next(iter(described.get("requestBody", {}).get("content", {None: {}}).items()))
    return DescribedOperation(
        method=method.upper(),
        path=path,
        scope=security[0]["bearer"][0] if security else None,
        variables=tuple(name for place, name in parameters if place == "path"),
        query=tuple(name for place, name in parameters if place == "query"),
        takes_key=("header", "Idempotency-Key") in parameters,
        media_type=media_type,
        body=_example(document, content) if media_type else None,
    )


def _example(document: dict[str, Any], content: dict[str, Any]) -> Any:
    if "example" in content:
        return content["example"]
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema["examples"][0]


def asks_as(scope: str) -> str:
    """Who has a scope: the first role that does, else a service, else the account that replays history."""
    for role in ROLES:
        if scope in ROLE_SCOPES[role]:
            return role
    return next((service for service, scopes in SERVICES.items() if scope in scopes.split()), "replay")


class Tokens:
    """Access tokens of the seeded accounts, and of the services whose `secrets` (name → secret) are given."""

    def __init__(self, url: str, password: str, secrets: dict[str, str]) -> None:
        self._url = url
        self._password = password
        self._secrets = secrets
        self._kept: dict[str, str] = {}

    async def of(self, who: str) -> str:
        """The token of a seeded account (the first part of its e-mail address), or of a service."""
        if who not in self._kept:
            ask = self.granted if who in self._secrets else self.logged_in
            self._kept[who] = await ask(who)
        return self._kept[who]

    def keep(self, who: str, token: str) -> None:
        """Let somebody else stand for an account."""
        self._kept[who] = token

    async def logged_in(self, who: str) -> str:
        """A new token of an account."""
        email = who if "@" in who else f"{who}@example.com"
        return await self._asked("/v1/login", {"email": email, "password": self._password})

    async def granted(self, service: str) -> str:
        """A new token of a service."""
        basic = base64.b64encode(f"{service}:{self._secrets[service]}".encode()).decode()
        form = urlencode({"grant_type": "client_credentials"}).encode()
        return await self._asked("/oauth/token", form, {"Authorization": f"Basic {basic}", "Content-Type": FORM})

    async def _asked(self, path: str, body: Any, headers: dict[str, str] | None = None) -> str:
        answer = await ask(self._url + path, body, headers)
        return str(answer["access_token"])


async def new_customer(url: str) -> tuple[str, str]:
    """The id of an account that is made for it, and a token of it."""
    email = f"{uuid4().hex}@example.com"
    account = await ask(f"{url}/v1/accounts", {"email": email, "password": STRANGERS_PASSWORD, "name": "Nobody"})
    return account["id"], await Tokens(url, STRANGERS_PASSWORD, {}).logged_in(email)


async def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The answer to a GET, or with a body to a POST; raises where it is refused."""
    data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        method = "GET" if body is None else "POST"
        async with session.request(method, url, data=data, headers=headers or {"Content-Type": JSON}) as answer:
            found: dict[str, Any] = await answer.json()
            return found
