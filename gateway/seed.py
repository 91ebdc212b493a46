"""What a new gateway starts with: the demo's accounts, and the OAuth clients of our own services."""

from secrets import token_urlsafe

import msgspec
import structlog
from sqlalchemy import Connection

from connectors.keyfiles import SecretMissing, read_or_make
from gateway.books import accounts, clients
from gateway.books.accounts import Account
from gateway.books.clients import AT_START, OAuthClient
from gateway.identity.account_events import tell_account
from gateway.identity.profiles import CUSTOMER_PREFERENCES
from gateway.identity.tokens import hash_secret
from gateway.roles import ROLE_SCOPES, Role
from gateway.runtime import Runtime
from schemas.ids import new_id
from schemas.times import now_micros

log = structlog.get_logger()


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the demo of the local profile."""

    email: str
    role: Role
    name: str
    phone: str | None = None
    extra_scopes: str = ""
    limit_class: str = ""
    preferences: str = "{}"


SEEDS = (
    Seed(
        email="customer@example.com",
        role="customer",
        name="Casey Customer",
        phone="+15005550006",  # Twilio's test number that takes every message
        preferences=CUSTOMER_PREFERENCES,
    ),
    Seed(email="merchant@example.com", role="merchant", name="Merle's Shop"),
    Seed(email="analyst@example.com", role="analyst", name="Ana Analyst"),
    Seed(email="admin@example.com", role="admin", name="Ada Admin"),
    Seed(
        email="replay@example.com",
        role="customer",
        name="Replay",
        extra_scopes="payments:import",
        limit_class="import",
    ),
)

SERVICES = {"notifications": "contacts:read", "sql": "sql_tokens:check"}
DASHBOARDS = "dashboard"
CALLBACK = "/oauth2callback"  # Streamlit's, where it takes a code and where it comes back from a logout


async def seed_accounts(runtime: Runtime) -> None:
    """Create the missing accounts of `SEEDS`, all with one password; its staff need no second factor."""
    for seed in SEEDS:
        there = await runtime.books.read(accounts.by_email, seed.email) or await _made(runtime, seed)
        runtime.seeded_ids.add(there.id)


async def _made(runtime: Runtime, seed: Seed) -> Account:
    account = await _account(runtime, seed)
    try:
        await runtime.books.write(_add, account)
    except accounts.EmailTaken:  # by another gateway, which starts at the same time
        there = await runtime.books.read(accounts.by_email, seed.email)
        assert there is not None, "its address is taken"
        return there
    log.info("account.seeded", role=seed.role)
    return account


def _add(conn: Connection, account: Account) -> None:
    accounts.add(conn, account)
    tell_account(conn, account)


async def register_services(runtime: Runtime) -> None:
    """Register each service with the secret in its file, which an operator provides outside the local profile."""
    for client in (*map(_service, SERVICES), _dashboards(runtime.settings.dashboard_url)):
        try:
            secret = read_or_make(runtime.settings, f"{client.id}.secret", lambda: token_urlsafe(32).encode())
        except SecretMissing as error:
            log.warning("service_secret.missing", service=client.id, reason=str(error))
            continue
        await runtime.books.write(clients.register, client, hash_secret(secret.decode().strip()))


def _service(name: str) -> OAuthClient:
    return OAuthClient(id=name, name=name, scopes=SERVICES[name], created_by=AT_START, created_at=now_micros())


def _dashboards(url: str) -> OAuthClient:
    """The dashboards at `url`, where people log in: who does has the scopes of their role, no more."""
    back = msgspec.json.encode([f"{url}{CALLBACK}"]).decode()
    return OAuthClient(
        id=DASHBOARDS,
        name="Sluice dashboards",
        scopes=" ".join(sorted(ROLE_SCOPES["admin"])),
        redirect_uris=back,
        post_logout_redirect_uris=back,
        created_by=AT_START,
        created_at=now_micros(),
    )


async def _account(runtime: Runtime, seed: Seed) -> Account:
    now = now_micros()
    return Account(
        id=new_id("acc"),
        email_key=seed.email,
        password_hash=await runtime.passwords.hash(runtime.settings.seed_password),
        email_confirmed_at=now,
        phone_confirmed_at=now if seed.phone else None,
        created_at=now,
        updated_at=now,
        **msgspec.structs.asdict(seed),
    )
