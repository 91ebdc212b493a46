"""Merchants: accounts that sell, created by admins."""

from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.books.audit import Act, record
from gateway.free_text import ContactText, UrlText
from gateway.identity import contacts
from gateway.identity.contacts import invalid_field
from gateway.identity.profiles import Profile, profile
from gateway.return_urls import allows_loopback, is_loopback, origin
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from schemas.ids import new_id
from schemas.settings import ProfileName
from schemas.times import now_micros

blueprint = Blueprint("merchants", __name__)


class NewMerchant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`return_origins`: where a payer may be sent back to, as `https://shop.example`."""

    name: ContactText
    return_origins: Annotated[list[UrlText], msgspec.Meta(max_length=20)] = []


@blueprint.post("/v1/merchants")
@endpoint(scope="merchants:write", body=NewMerchant, answers={201: Profile}, idempotency="accepted")
async def create_merchant(call: Call[NewMerchant, None]) -> Reply:
    """Create a merchant's account. It has no password: nobody logs in with it."""
    body = call.body
    in_profile = call.runtime.settings.profile
    origins = [_origin(url, f"$.return_origins[{i}]", in_profile) for i, url in enumerate(body.return_origins)]
    now = now_micros()
    account = Account(
        id=new_id("acc"),
        role="merchant",
        name=contacts.name(body.name),
        return_origins=msgspec.json.encode(origins).decode(),
        created_at=now,
        updated_at=now,
    )
    return await write_once(call, 201, _add, account, call.caller.actor_id)


def _add(conn: Connection, account: Account, by: str) -> Profile:
    accounts.add(conn, account)
    record(conn, Act("merchant_created", by, account.id))
    return profile(account)


def _origin(given: str, path: str, profile: ProfileName) -> str:
    found = origin(given)
    if found is None or found != given.rstrip("/").lower():
        raise invalid_field(path, "Not an origin as https://shop.example.")
    if not found.startswith("https:") and not (allows_loopback(profile) and is_loopback(found)):
        raise invalid_field(path, "Only https, or loopback in the local profile.")
    return found
