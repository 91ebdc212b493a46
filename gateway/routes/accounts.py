"""Accounts: customers create their own; services read whom to notify, and how."""

from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.free_text import CodeText, ContactText, of_class
from gateway.identity import contacts
from gateway.identity.profiles import CUSTOMER_PREFERENCES, Profile, notification_preferences, profile
from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from schemas.ids import new_id
from schemas.notifications import Recipient
from schemas.times import now_micros

blueprint = Blueprint("accounts", __name__)
recipient_blueprint = Blueprint("recipient", __name__)

Password = Annotated[str, msgspec.Meta(min_length=12, max_length=128, extra=of_class("unstored"))]


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new customer. `phone` with its country code; `locale` a language tag."""

    email: ContactText
    password: Password
    name: ContactText
    phone: CodeText | None = None
    locale: ContactText = "en"


@blueprint.post("/v1/accounts")
@endpoint(
    scope=None, limit="accounts", body=NewAccount, answers={201: Profile}, codes=("email_taken", "unavailable")
)
async def create_account(call: Call[NewAccount, None]) -> Reply:
    """Create a customer's account.

    Admins create the accounts of staff and merchants. A taken e-mail address is a 409, which reveals that it is
    registered; the rate limit bounds how many can be tried (docs/decisions/0006).
    """
    body = call.body
    email = contacts.email(body.email)
    now = now_micros()
    account = Account(
        id=new_id("acc"),
        role="customer",
        email=email,
        email_key=contacts.email_key(email),
        name=contacts.name(body.name),
        phone=None if body.phone is None else contacts.phone(body.phone),
        locale=contacts.locale(body.locale),
        preferences=CUSTOMER_PREFERENCES,
        password_hash=await call.runtime.passwords.hash(body.password),
        created_at=now,
        updated_at=now,
    )
    await call.runtime.books.write(accounts.add, account)
    return Reply(201, profile(account))


@recipient_blueprint.get("/v1/accounts/<account>/recipient")
@endpoint(scope="contacts:read", answers={200: Recipient}, codes=("not_found",))
async def read_recipient(call: Call[None, None], account_id: str) -> Reply:
    """Show an account's addresses and notification preferences, to services only."""
    found = await call.runtime.books.read(accounts.by_id, account_id)
    if found is None:
        raise Problem("not_found")
    wanted = notification_preferences(found)
    recipient = Recipient(
        channels={str(kind): [*channels] for kind, channels in wanted.preferences.items()},
        locale=wanted.locale,
        time_zone=wanted.time_zone,
        email=found.email,
        phone=found.phone,
        quiet_hours=wanted.quiet_hours,
    )
    return Reply(200, recipient)
