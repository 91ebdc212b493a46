"""OAuth clients: who may have which scopes and addresses, their secrets, and how they end."""

from secrets import token_urlsafe

import msgspec
from sqlalchemy import Connection

from gateway.books import audit, clients, merchants
from gateway.books.audit import Act
from gateway.books.clients import AT_START, ClientType, OAuthClient
from gateway.identity.tokens import hash_secret
from gateway.refusals import FieldError, InvalidFields, NoSuchObject, NotAllowed, Refusal
from gateway.return_urls import checked_url, is_of
from gateway.roles import CLIENT_SCOPES, SCOPES, ClientKind, scopes_of
from schemas.ids import new_id
from schemas.settings import ProfileName
from schemas.times import now_micros, steady_micros

FOUND_BY = "sk_sluice_"  # scanners of leaked secrets; 43 characters follow
OVERLAP_MAX_S = 7 * 24 * 3600
SECOND_US = 1_000_000


class ClientHasEnded(Refusal):
    """The client was revoked or has expired."""


class NoOwnSecret(Refusal):
    """It has no secret of its own to change: a public client, or a service whose secret an operator provides."""


class ClientOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A client that is asked for. `account_id`: the merchant's, None for a service of ours.

    `scopes`: those asked for; `held`: those of whoever asks, `ordered_by`. `expires_at`: microseconds UTC.
    """

    account_id: str | None
    ordered_by: str
    held: frozenset[str]
    name: str
    type: ClientType
    scopes: list[str]
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    expires_at: int | None

    def kind(self) -> ClientKind:
        """What it is, which says what it may have at most."""
        if self.type == "public":
            return "app"
        return "merchant" if self.account_id else "service"


def create(conn: Connection, profile: ProfileName, order: ClientOrder) -> tuple[OAuthClient, str | None]:
    """Make a client: it and its secret (None for a public one), which is nowhere else.

    Raises `InvalidFields`, `NotAllowed` for scopes beyond what it may have, and `NoSuchObject` without a merchant.
    """
    _check_order(conn, profile, order)
    secret = None if order.type == "public" else new_secret()
    client = OAuthClient(
        id=new_id("cli"),
        account_id=order.account_id,
        name=order.name,
        type=order.type,
        scopes=" ".join(sorted(order.scopes)),
        redirect_uris=_json(order.redirect_uris),
        post_logout_redirect_uris=_json(order.post_logout_redirect_uris),
        created_by=order.ordered_by,
        created_at=now_micros(),
        expires_at=order.expires_at,
    )
    clients.add(conn, client, None if secret is None else hash_secret(secret))
    detail = {"merchant": client.account_id or "", "type": client.type, "scopes": client.scopes}
    audit.record(conn, Act("client_created", order.ordered_by, client.id, detail))
    return client, secret


def revoke(conn: Connection, client_id: str, owner_id: str | None, revoked_by: str) -> None:
    """End a client of a merchant's (`owner_id` None: anybody's) at once; a repeat changes nothing.

    Raises `NoSuchObject`, and `NoOwnSecret` for a service that is registered again at each start.
    """
    client = _own(conn, client_id, owner_id)
    if client.created_by == AT_START:
        raise NoOwnSecret("It is one of ours, registered at each start: its operator takes it away.")
    if clients.revoke(conn, client_id, now_micros()):
        audit.record(conn, Act("client_revoked", revoked_by, client_id))


def rotate(conn: Connection, client_id: str, owner_id: str | None, overlap_s: int, rotated_by: str) -> str:
    """A new secret of a client; those of before are good for `overlap_s` seconds more.

    Raises `NoSuchObject`, `ClientHasEnded` and `NoOwnSecret`.
    """
    client, now = _own(conn, client_id, owner_id), steady_micros()
    if not client.is_good(now):
        raise ClientHasEnded("It was revoked or has expired.")
    if client.type == "public" or client.created_by == AT_START:
        raise NoOwnSecret("It has no secret that is changed here.")
    secret = new_secret()
    clients.replace_secrets(conn, client_id, hash_secret(secret), now, now + overlap_s * SECOND_US)
    audit.record(conn, Act("client_rotated", rotated_by, client_id, {"overlap_s": str(overlap_s)}))
    return secret


def new_secret() -> str:
    """A secret of 256 random bits, which scanners find by its prefix."""
    return FOUND_BY + token_urlsafe(32)


def _own(conn: Connection, client_id: str, owner_id: str | None) -> OAuthClient:
    client = clients.to_change(conn, client_id)
    if client is None or owner_id not in (None, client.account_id):
        raise NoSuchObject("There is no such client.")
    return client


def _check_order(conn: Connection, profile: ProfileName, order: ClientOrder) -> None:
    merchant = None if order.account_id is None else merchants.by_id(conn, order.account_id)
    if order.account_id is not None and merchant is None:
        raise NoSuchObject("There is no such merchant.")
    held = order.held if merchant is None else scopes_of("merchant", merchant.extra_scopes, None)
    _check_scopes(order.scopes, CLIENT_SCOPES[order.kind()] & held)
    origins = None if merchant is None else msgspec.json.decode(merchant.return_origins, type=list[str])
    if order.type == "public" and not order.redirect_uris:
        raise InvalidFields(FieldError("$.redirect_uris", "A public client has one at least."))
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for number, url in enumerate(getattr(order, name)):
            _check_url(url, f"$.{name}[{number}]", origins, profile)
    if order.expires_at is not None and order.expires_at <= steady_micros():
        raise InvalidFields(FieldError("$.expires_at", "It has passed."))


def _check_scopes(asked: list[str], most: frozenset[str]) -> None:
    unknown = [number for number, scope in enumerate(asked) if scope not in SCOPES or scope in asked[:number]]
    if unknown:
        raise InvalidFields(*[FieldError(f"$.scopes[{number}]", "Unknown, or given twice.") for number in unknown])
    if not most.issuperset(asked):
        raise NotAllowed(f"Such a client may have at most: {', '.join(sorted(most))}.")


def _check_url(url: str, path: str, origins: list[str] | None, profile: ProfileName) -> None:
    """`origins`: those of the client's merchant; None where it has none."""
    checked_url(url, path, profile)
    if origins is not None and not is_of(url, origins, profile):
        raise InvalidFields(FieldError(path, "Its origin is not registered for the merchant."))


def _json(texts: list[str]) -> str:
    return msgspec.json.encode(texts).decode()
