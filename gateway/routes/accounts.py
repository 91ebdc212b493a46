"""Accounts: customers create their own, admins those of others; services read whom to notify, and how."""

from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Annotated, Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.addresses import counted_network, network_of
from gateway.books import accounts, merchant_people
from gateway.books.account_rights import select_accounts
from gateway.books.accounts import Account
from gateway.free_text import CodeText, ContactText, Unstored
from gateway.identity import confirmations, contacts
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.profiles import Profile, notification_preferences, profile
from gateway.identity.registrations import Applicant, make_account, register
from gateway.identity.rights import WantedRights, change_rights
from gateway.problems import Problem
from gateway.refusals import FieldError, InvalidFields
from gateway.roles import Role, is_reader
from gateway.web.call import Call, Reply
from gateway.web.endpoint import admit, endpoint
from gateway.web.paging import Listing, Page, read_page
from schemas.notifications import Channel, Recipient
from schemas.times import from_micros

blueprint = Blueprint("accounts", __name__)
recipient_blueprint = Blueprint("recipient", __name__)

ADMINS = "accounts:write"  # the scope of what admins do with accounts of others


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`password`: 12 to 128 characters, no common one. `phone` with its country code; `locale` a language tag.

    An admin may name a `role`, and leave the password out: then its owner is mailed a link to set one.
    """

    email: ContactText
    password: Unstored | None = None
    name: ContactText
    phone: CodeText | None = None
    locale: ContactText = "en"
    role: Role | None = None


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as admins see it. `disabled`: nobody logs in with it. `merchant`: whose person it is, or was.

    `reader`: named by an admin, it sees all payments by SQL, without cards and payers.
    """

    id: str
    object: Literal["account"] = "account"
    role: Role
    email: str | None
    email_confirmed: bool
    name: str
    disabled: bool
    reader: bool
    merchant: str | None
    created_at: datetime
    updated_at: datetime


class AccountList(Listing[AccountView], frozen=True):
    """A page of accounts, the newest first. `next_cursor` is null on the last one."""


class AccountQuery(Page, frozen=True, forbid_unknown_fields=True):
    """`email`: that of one account; `role`: those of a role."""

    email: Annotated[str, msgspec.Meta(max_length=320)] | None = None
    role: Role | None = None


class RightsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent stays as it is. `disabled`: nobody logs in with the account, and its sessions end.

    `reader`: it sees all payments by SQL, without cards and payers; not for staff, who see everything.
    """

    role: Role | None = None
    disabled: bool | None = None
    reader: bool | None = None


@blueprint.post("/v1/accounts")
@endpoint(
    scope=None,
    limit="accounts",
    body=NewAccount,
    answers={201: Profile},
    codes=("email_taken", "forbidden", "not_confirmed", "unauthenticated", "unavailable"),
)
async def create_account(call: Call[NewAccount, None]) -> Reply:
    """Create a customer's account, or as an admin one of any role.

    Nothing but what asks to confirm them goes to its e-mail address and phone. A taken e-mail address is a 409,
    which reveals that it is registered: 20 an hour from one network bound how many can be tried, and its owner is
    told by mail. An account of the role `merchant` is a merchant, and logs in as its first owner.
    """
    body, runtime = call.body, call.runtime
    parts = (runtime.books, runtime.passwords, runtime.confirmation_rules)
    applicant = Applicant(**msgspec.structs.asdict(msgspec.structs.replace(body, role=body.role or "customer")))
    if body.role is not None:
        admin = await admit(runtime, ADMINS, "default", network_of(call.ip))
        return Reply(201, profile(await make_account(*parts, applicant, admin.actor_id)))
    if body.password is None:
        raise InvalidFields(FieldError("$.password", "A customer needs one."))
    account = await register(*parts, applicant, counted_network(call.ip, runtime.settings.profile))
    return Reply(201, profile(account))


@blueprint.get("/v1/accounts")
@endpoint(scope="accounts:read", query=AccountQuery, answers={200: AccountList})
async def list_accounts(call: Call[None, AccountQuery]) -> Reply:
    """List accounts, the newest first; by their whole e-mail address, or by role."""
    query = call.query
    if query.email is not None:
        key = contacts.email_key(query.email.strip())
        return Reply(200, AccountList(await call.runtime.books.read(_find, key, query.role), None))
    shown, cursor = await read_page(call, partial(_select, query.role), attrgetter("id"), str)
    return Reply(200, AccountList([*shown], cursor))


@blueprint.patch("/v1/accounts/<account>")
@endpoint(
    scope=ADMINS, body=RightsChange, answers={200: AccountView}, codes=("forbidden", "not_found", "wrong_state")
)
async def change_account(call: Call[RightsChange, None], account_id: str) -> Reply:
    """Change the role of somebody's account, disable it, or name its owner a reader, from their next request on.

    Never one's own.
    """
    return Reply(200, await call.runtime.books.write(_change, call.caller.actor_id, account_id, call.body))


@recipient_blueprint.get("/v1/accounts/<account>/recipient")
@endpoint(scope="contacts:read", answers={200: Recipient}, codes=("not_found",))
async def read_recipient(call: Call[None, None], account_id: str) -> Reply:
    """Show an account's addresses and notification preferences, to services only."""
    recipient = await call.runtime.books.read(_recipient, call.runtime.confirmation_rules, account_id)
    if recipient is None:
        raise Problem("not_found")
    return Reply(200, recipient)


def _select(role: Role | None, conn: Connection, before_id: str | None, most: int) -> list[AccountView]:
    return _views(conn, select_accounts(conn, role, before_id, most))


def _find(conn: Connection, email_key: str, role: Role | None) -> list[AccountView]:
    found = accounts.by_email(conn, email_key)
    return _views(conn, [found] if found and role in (None, found.role) else [])


def _change(conn: Connection, actor_id: str, account_id: str, asked: RightsChange) -> AccountView:
    wanted = WantedRights(asked.role, asked.disabled, asked.reader)
    changed = change_rights(conn, actor_id, account_id, wanted)
    return _views(conn, [changed])[0]


def _views(conn: Connection, found: list[Account]) -> list[AccountView]:
    acted = merchant_people.acted_for(conn, [account.id for account in found if account.role == "merchant"])
    return [_view(account, acted.get(account.id)) for account in found]


def _view(account: Account, merchant_id: str | None) -> AccountView:
    return AccountView(
        id=account.id,
        role=account.role,
        email=account.email,
        email_confirmed=account.email_confirmed_at is not None,
        name=account.name,
        disabled=account.disabled_at is not None,
        reader=is_reader(account.role, account.extra_scopes),
        merchant=merchant_id,
        created_at=from_micros(account.created_at),
        updated_at=from_micros(account.updated_at),
    )


def _recipient(conn: Connection, rules: ConfirmationRules, account_id: str) -> Recipient | None:
    """Nothing goes to an address that is not confirmed; the one that a new e-mail address will replace is."""
    found = accounts.by_id(conn, account_id)
    if found is None:
        return None
    wanted = notification_preferences(found)
    email = found.email if found.email_confirmed_at is not None else None
    phone = found.phone if found.phone_confirmed_at is not None else None
    addresses: dict[Channel, tuple[str | None, str | None]] = {
        "email": (found.email, email),
        "sms": (found.phone, phone),
    }
    return Recipient(
        channels={str(kind): [*channels] for kind, channels in wanted.preferences.items()},
        locale=wanted.locale,
        time_zone=wanted.time_zone,
        email=email,
        phone=phone,
        quiet_hours=wanted.quiet_hours,
        unconfirmed=[channel for channel, (given, confirmed) in addresses.items() if given and not confirmed],
        confirmations=confirmations.counts(conn, rules, email, phone),
    )
