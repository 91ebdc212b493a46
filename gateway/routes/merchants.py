"""Merchants: accounts that sell, created by admins; what they change of themselves, and how one is suspended."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType
from quart import Blueprint

from gateway.books import merchants as books
from gateway.books.accounts import NoVerdictChoice
from gateway.free_text import ContactText, Reason, UrlText
from gateway.identity import contacts, merchants
from gateway.identity.contacts import invalid_field
from gateway.identity.merchants import MerchantAsked, MerchantView, Suspension, as_text, merchant_view
from gateway.problems import Problem
from gateway.return_urls import checked_origin, checked_url
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from schemas.ids import new_id
from schemas.settings import ProfileName

blueprint = Blueprint("merchants", __name__)

Urls = Annotated[list[UrlText], msgspec.Meta(max_length=20)]


class NewMerchant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`origins`: whose pages may call the API, and where payers may be sent back to, as `https://shop.example`.

    `return_urls`: single addresses for the latter beside them. `return_origins` is the former name of `origins`.
    """

    name: ContactText
    origins: Urls = []
    return_urls: Urls = []
    return_origins: Urls = []


class MerchantUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is absent stays as it is. `suspended` and `reason` are for admins; whoever suspends says why.

    `on_no_verdict`: a payment of which no verdict comes in time is judged by the stand-in's own rules and caps, is
    held for a person, or is declined.
    """

    name: ContactText | UnsetType = UNSET
    origins: Urls | UnsetType = UNSET
    return_urls: Urls | UnsetType = UNSET
    suspended: bool | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    on_no_verdict: NoVerdictChoice | UnsetType = UNSET


@blueprint.post("/v1/merchants")
@endpoint(scope="merchants:write", body=NewMerchant, answers={201: MerchantView}, idempotency="accepted")
async def create_merchant(call: Call[NewMerchant, None]) -> Reply:
    """Create a merchant. Nobody logs in with its account: people are invited to act for it."""
    body, profile = call.body, call.runtime.settings.profile
    if body.origins and body.return_origins:
        raise invalid_field("$.return_origins", "The former name of `origins`: one of them.")
    named = "origins" if body.origins else "return_origins"
    asked = MerchantAsked(
        id=new_id("acc"),  # here: what runs again, once its key is there, makes the same merchant
        name=contacts.name(body.name),
        origins=_origins(body.origins or body.return_origins, named, profile),
        return_urls=_urls(body.return_urls, profile),
        made_by=call.caller.actor_id,
    )
    return await write_once(call, 201, merchants.create, asked)


@blueprint.get("/v1/merchants/<merchant>")
@endpoint(scope="merchants:read", answers={200: MerchantView}, codes=("not_found",))
async def read_merchant(call: Call[None, None], merchant_id: str) -> Reply:
    """Show one's own merchant; for admins any."""
    check_own(call, merchant_id)
    found = await call.runtime.books.read(books.by_id, merchant_id)
    if found is None:
        raise Problem("not_found")
    return Reply(200, merchant_view(found))


@blueprint.patch("/v1/merchants/<merchant>")
@endpoint(scope="merchants:manage", body=MerchantUpdate, answers={200: MerchantView}, codes=("not_found",))
async def change_merchant(call: Call[MerchantUpdate, None], merchant_id: str) -> Reply:
    """Change one's own merchant, or as an admin any; an admin may suspend it, or let it go on.

    While it is suspended it takes no new payments (503 `stopped`), and its people and clients get 401. Staff may
    capture, void and refund what was paid, and what is under way comes to its end.
    """
    check_own(call, merchant_id)
    suspension = _suspension(call)
    fields = _fields(call.body, call.runtime.settings.profile)
    shown = await call.runtime.books.write(merchants.change, merchant_id, fields, suspension, call.caller.actor_id)
    return Reply(200, shown)


def check_own(call: Call[object, object], merchant_id: str) -> None:
    """Raises the problem `not_found` for another merchant than the caller's own, but for admins."""
    if call.caller.role != "admin" and call.caller.account_id != merchant_id:
        raise Problem("not_found")


def _suspension(call: Call[MerchantUpdate, None]) -> Suspension | None:
    suspended, reason = call.body.suspended, call.body.reason
    if suspended is UNSET and reason is UNSET:
        return None
    if call.caller.role != "admin":
        raise Problem("forbidden", "Staff suspend merchants.")
    if suspended is UNSET:
        raise invalid_field("$.suspended", "Required with a reason.")
    if suspended and reason is UNSET:
        raise invalid_field("$.reason", "Required to suspend.")
    return Suspension(suspended, "" if reason is UNSET else reason)


def _fields(asked: MerchantUpdate, profile: ProfileName) -> dict[str, str]:
    fields = {}
    if asked.name is not UNSET:
        fields["name"] = contacts.name(asked.name)
    if asked.origins is not UNSET:
        fields["return_origins"] = as_text(_origins(asked.origins, "origins", profile))
    if asked.on_no_verdict is not UNSET:
        fields["on_no_verdict"] = asked.on_no_verdict
    if asked.return_urls is not UNSET:
        fields["return_urls"] = as_text(_urls(asked.return_urls, profile))
    return fields


def _origins(given: Sequence[str], name: str, profile: ProfileName) -> list[str]:
    return [checked_origin(url, f"$.{name}[{number}]", profile) for number, url in enumerate(given)]


def _urls(given: Sequence[str], profile: ProfileName) -> list[str]:
    return [checked_url(url, f"$.return_urls[{number}]", profile) for number, url in enumerate(given)]
