"""Accounts: how a customer gets one."""

from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.endpoint import Call, Reply, endpoint
from gateway.identity import contacts
from gateway.identity.profiles import CUSTOMER_PREFERENCES, Profile, profile
from schemas.ids import new_id
from schemas.times import now_micros

blueprint = Blueprint("accounts", __name__)

Password = Annotated[str, msgspec.Meta(min_length=12, max_length=128)]


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants an account. `phone` with its country code; `locale` a language tag."""

    email: str
    password: Password
    name: str
    phone: str | None = None
    locale: str = "en"


@blueprint.post("/v1/accounts")
@endpoint(
    scope=None, limit="accounts", body=NewAccount, answers={201: Profile}, codes=("email_taken", "unavailable")
)
async def create_account(call: Call) -> Reply:
    """Create a customer's account.

    Staff and merchants are made by admins. A taken e-mail address is a 409, which tells a stranger that it is
    known here; the rate limit bounds how many can be tried (docs/decisions/0006).
    """
    body: NewAccount = call.body
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
        password_hash=await call.parts.passwords.hash(body.password),
        created_at=now,
        updated_at=now,
    )
    await call.parts.books.write(accounts.add, account)
    return Reply(201, profile(account))
