"""Accounts: customers create their own; services read whom to notify, and how."""

from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection
from structlog import get_logger

from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.books.confirmations import ConfirmedChannel
from gateway.free_text import CodeText, ContactText, of_class
from gateway.identity import confirmations, contacts
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.profiles import CUSTOMER_PREFERENCES, Profile, notification_preferences, profile
from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from schemas.ids import new_id
from schemas.notifications import Channel, Recipient
from schemas.times import now_micros

blueprint = Blueprint("accounts", __name__)
recipient_blueprint = Blueprint("recipient", __name__)

log = get_logger()

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
    """Create a customer's account. Nothing but what asks to confirm them goes to its e-mail address and phone.

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
    held_back = await call.runtime.books.write(_add, call.runtime.confirmation_rules, account)
    log_held_back(account.id, held_back)
    return Reply(201, profile(account))


@recipient_blueprint.get("/v1/accounts/<account>/recipient")
@endpoint(scope="contacts:read", answers={200: Recipient}, codes=("not_found",))
async def read_recipient(call: Call[None, None], account_id: str) -> Reply:
    """Show an account's addresses and notification preferences, to services only."""
    recipient = await call.runtime.books.read(_recipient, call.runtime.confirmation_rules, account_id)
    if recipient is None:
        raise Problem("not_found")
    return Reply(200, recipient)


def log_held_back(account_id: str, channels: list[ConfirmedChannel]) -> None:
    """Log to which channels of an account no confirmation goes: too many did, or none goes to such numbers."""
    for channel in channels:
        log.warning("confirmation.held_back", account_id=account_id, channel=channel)


def _add(conn: Connection, rules: ConfirmationRules, account: Account) -> list[ConfirmedChannel]:
    accounts.add(conn, account)
    return confirmations.ask_what_is_new(conn, rules, None, account)


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
