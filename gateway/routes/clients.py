"""OAuth clients: what merchants' systems and apps ask `/oauth/token` with."""

from datetime import datetime
from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.clients import ClientType, OAuthClient, list_clients
from gateway.free_text import CodeText, ContactText, ShortText, UrlText
from gateway.identity import clients, contacts
from gateway.identity.clients import OVERLAP_MAX_S, ClientOrder
from gateway.problems import Problem
from gateway.web.call import Call, Caller, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_page
from schemas.times import from_micros, to_micros

blueprint = Blueprint("clients", __name__)

Urls = Annotated[list[UrlText], msgspec.Meta(max_length=20)]


class NewClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`type`: a `public` one (a browser, a phone) keeps no secret, and acts for the customer who logs in with it.

    `merchant`: whose it is, for admins to say. `redirect_uris`: where a login may come back to.
    """

    name: ContactText
    scopes: Annotated[list[CodeText], msgspec.Meta(min_length=1, max_length=20)]
    type: ClientType = "confidential"
    redirect_uris: Urls = []
    post_logout_redirect_uris: Urls = []
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    merchant: ShortText | None = None


class ClientRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`overlap_s`: for how long the secrets of before are good beside the new one; 0: they are not."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_MAX_S)]


class ClientView(msgspec.Struct, frozen=True, kw_only=True):
    """A client. `merchant` null: a service of ours. `last_used_at` may be an hour old."""

    id: str
    name: str
    scopes: list[str]
    type: ClientType
    merchant: str | None
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked: bool


class MadeClient(ClientView, frozen=True, kw_only=True, omit_defaults=True):
    """A client with its secret, which is shown this once; a public one has none."""

    secret: str | None = None


class ClientSecret(msgspec.Struct, frozen=True):
    """A client's new secret, which is shown this once."""

    id: str
    secret: str


class ClientList(Listing[ClientView], frozen=True):
    """A page of clients, the newest first. `next_cursor` is null on the last one."""


@blueprint.post("/v1/clients")
@endpoint(
    scope="clients:manage",
    body=NewClient,
    answers={201: MadeClient},
    codes=("not_found", "not_confirmed", "wrong_state"),
)
async def create_client(call: Call[NewClient, None]) -> Reply:
    """Make a client: a merchant's own, or as an admin any merchant's, or a service of ours. Its secret comes once.

    It may have the scopes of its merchant's owner that concern no person, at most.
    """
    if not call.caller.is_confirmed:
        raise Problem("not_confirmed")
    order = _order(call.caller, call.body)
    client, secret = await call.runtime.books.write(clients.create, call.runtime.settings.profile, order)
    shown = msgspec.structs.asdict(client_view(client))
    return Reply(201, MadeClient(**shown, secret=secret))


@blueprint.get("/v1/clients")
@endpoint(scope="clients:manage", query=Page, answers={200: ClientList})
async def list_all(call: Call[None, Page]) -> Reply:
    """List one's own merchant's clients, the newest first; for admins all."""

    def page(conn: Connection, after_id: str | None, most: int) -> list[OAuthClient]:
        return list_clients(conn, owner_of(call.caller), after_id, most)

    shown, cursor = await read_page(call, page, lambda client: client.id, str)
    return Reply(200, ClientList([client_view(client) for client in shown], cursor))


@blueprint.delete("/v1/clients/<client>")
@endpoint(scope="clients:manage", answers={204: None}, codes=("not_found", "wrong_state"))
async def revoke_client(call: Call[None, None], client_id: str) -> Reply:
    """End a client: its secrets and the tokens it was given are refused from the next request on."""
    await call.runtime.books.write(clients.revoke, client_id, owner_of(call.caller), call.caller.actor_id)
    return Reply(204)


@blueprint.post("/v1/clients/<client>/rotate")
@endpoint(
    scope="clients:manage",
    body=ClientRotation,
    answers={200: ClientSecret},
    codes=("not_found", "wrong_state"),
)
async def rotate_client(call: Call[ClientRotation, None], client_id: str) -> Reply:
    """Give a client a new secret; those of before are good for `overlap_s` seconds more, at most a week.

    Tokens that an earlier secret was given run out by themselves, within 15 minutes: where a secret was stolen,
    `DELETE` ends its client with all it has.
    """
    caller, overlap_s = call.caller, call.body.overlap_s
    secret = await call.runtime.books.write(
        clients.rotate, client_id, owner_of(caller), overlap_s, caller.actor_id
    )
    return Reply(200, ClientSecret(client_id, secret))


def _order(caller: Caller, asked: NewClient) -> ClientOrder:
    own = owner_of(caller)
    if own is not None and asked.merchant not in (None, own):
        raise Problem("not_found", "There is no such merchant.")
    return ClientOrder(
        account_id=own or asked.merchant,
        ordered_by=caller.actor_id,
        held=caller.scopes,
        name=contacts.name(asked.name),
        type=asked.type,
        scopes=asked.scopes,
        redirect_uris=asked.redirect_uris,
        post_logout_redirect_uris=asked.post_logout_redirect_uris,
        expires_at=to_micros(asked.expires_at) if asked.expires_at else None,
    )


def owner_of(caller: Caller) -> str | None:
    """Whose objects a caller may manage: its merchant's; None for admins, who may any."""
    return None if caller.role == "admin" else caller.account_id


def client_view(client: OAuthClient) -> ClientView:
    """A client as its merchant sees it."""
    return ClientView(
        id=client.id,
        name=client.name,
        scopes=client.scopes.split(),
        type=client.type,
        merchant=client.account_id,
        redirect_uris=msgspec.json.decode(client.redirect_uris, type=list[str]),
        post_logout_redirect_uris=msgspec.json.decode(client.post_logout_redirect_uris, type=list[str]),
        created_at=from_micros(client.created_at),
        expires_at=_shown(client.expires_at),
        last_used_at=_shown(client.last_used_at),
        revoked=client.revoked_at is not None,
    )


def _shown(at: int | None) -> datetime | None:
    return None if at is None else from_micros(at)
