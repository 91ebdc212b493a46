"""Whoever may ask a gateway, made in its books at once: no password is hashed, and no mail is waited for."""

from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, clients, merchant_people, sessions
from gateway.books.accounts import Account
from gateway.books.clients import ClientType, OAuthClient
from gateway.books.merchant_people import MerchantPerson
from gateway.books.sessions import SessionRow
from gateway.identity.tokens import hash_secret
from gateway.roles import MerchantRole, Role
from gateway.runtime import Runtime
from schemas.ids import new_id
from schemas.times import now_micros, steady_micros
from tests.gateway.conftest import Gateway

HOUR_US = 3_600_000_000
FORM = "application/x-www-form-urlencoded"


class Actor(msgspec.Struct, frozen=True):
    """Somebody with a token. `id`: of the account or client; `session_id`: empty for a client in its own name."""

    id: str
    token: str
    session_id: str = ""


class Actors:
    """Makes them in the books of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.runtime: Runtime = gateway.runtime
        self._gateway = gateway

    async def account(self, role: Role, **fields: Any) -> str:
        """The id of a new account, with a confirmed address and a password that nobody knows."""
        now, address = now_micros(), f"{uuid4().hex}@example.com"
        known = {"email": address, "email_key": address, "email_confirmed_at": now, "password_hash": "x"}
        made = Account(
            id=new_id("acc"), role=role, **(known | {"name": "Somebody"} | fields), created_at=now, updated_at=now
        )
        await self.runtime.books.write(accounts.add, made)
        return made.id

    async def merchant(self, *origins: str) -> str:
        """The id of a new merchant, with which nobody logs in."""
        listed = msgspec.json.encode(origins).decode()
        nobody = {"email": None, "email_key": None, "email_confirmed_at": None, "password_hash": None}
        return await self.account("merchant", **nobody, return_origins=listed)

    async def log_in(self, account_id: str, role: Role, client_id: str = "", scopes: str = "") -> Actor:
        """An account with a session of its own; `client_id`: in that app."""
        row = SessionRow(
            id=new_id("ses"),
            account_id=account_id,
            created_at=now_micros(),
            last_used_at=now_micros(),
            kind="app" if client_id else "login",
            client_id=client_id,
            scopes=scopes,
            second_factor_at=now_micros(),
        )
        refresh = uuid4().bytes
        await self.runtime.books.write(sessions.start, row, refresh, steady_micros() + HOUR_US)
        token = self.runtime.tokens.sign(account_id, role, frozenset(scopes.split()), row.id)
        return Actor(account_id, token, row.id)

    async def new(self, role: Role, **fields: Any) -> Actor:
        """A new account that is logged in."""
        return await self.log_in(await self.account(role, **fields), role)

    async def person(self, merchant_id: str, role: MerchantRole, **fields: Any) -> Actor:
        """Somebody who acts for a merchant, logged in."""
        account_id = await self.account("merchant", **fields)
        row = MerchantPerson(account_id, merchant_id, role, now_micros())
        await self.runtime.books.write(merchant_people.put, row)
        return await self.log_in(account_id, "merchant")

    async def client(
        self, merchant_id: str | None, scopes: str, secret: str = "", type: ClientType = "confidential"
    ) -> Actor:
        """A client with a token in its own name, as `/oauth/token` gives it for all its scopes."""
        row = OAuthClient(
            id=new_id("cli"), account_id=merchant_id, type=type, scopes=scopes, created_by="a test", created_at=1
        )
        await self.runtime.books.write(clients.add, row, hash_secret(secret) if secret else None)
        return Actor(row.id, self.runtime.tokens.sign(row.id, "service", frozenset(scopes.split())))

    async def change(self, sql: str) -> None:
        """Run a statement on the books."""

        def run(conn: Connection) -> None:
            conn.exec_driver_sql(sql)

        await self.runtime.books.write(run)
