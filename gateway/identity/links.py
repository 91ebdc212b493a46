"""One-time links: whoever has one sets an account's password, once. They reset one, or invite somebody new.

As of what confirms an address, the books keep a keyed hash of the token, and the seed that it is made of until it
was mailed. Only an account's newest link is good, and one that was mailed only while the account has that address.
"""

from contextlib import suppress
from secrets import token_bytes
from typing import assert_never
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, audit, confirmations, consents, known_callers, links, second_factors, sessions
from gateway.books.accounts import Account
from gateway.books.audit import Act
from gateway.books.links import LinkPurpose, OneTimeLink
from gateway.identity.confirmations import SEED_BYTES, ConfirmationRules, ConfirmationsSpent, spend
from gateway.identity.contacts import email_key
from gateway.identity.letters import LetterLink, tell_of_change, write_letter
from gateway.policy import DAY_US, HOUR_US
from gateway.refusals import Refusal
from schemas.accounts import ActKind
from schemas.times import now_micros, steady_micros

LIFETIME_US: dict[LinkPurpose, int] = {"password_reset": HOUR_US, "invitation": 3 * DAY_US}
PAGES: dict[LinkPurpose, str] = {"password_reset": "/reset", "invitation": "/invitation"}
# Mails with a link that an address gets in an hour beyond those that ask to confirm it: whoever enters it for
# accounts of their own keeps nobody from a new password.
RESERVED = 2


class LinkInvalid(Refusal):
    """The link is wrong, was used, or is not good any more."""


def make_link(
    conn: Connection, rules: ConfirmationRules, account_id: str, purpose: LinkPurpose, actor_id: str
) -> str:
    """The token of a new link, for whoever made it to hand over; the account's older links are worth nothing."""
    seed = token_bytes(SEED_BYTES)
    _put(conn, rules, account_id, purpose, seed, None)
    audit.record(conn, Act("link_made", actor_id, account_id, {"purpose": purpose}))
    return rules.link_token(seed)


def link_url(rules: ConfirmationRules, purpose: LinkPurpose, token: str) -> str:
    """The address of the page that a link leads to: of the gateway's public URL, never of a request's host."""
    return f"{rules.public_url}{PAGES[purpose]}?{urlencode({'token': token})}"


def invite(conn: Connection, rules: ConfirmationRules, account: Account, actor_id: str) -> None:
    """Have somebody new mailed a link to set their first password. Raises `ConfirmationsSpent`."""
    _mail(conn, rules, account, "invitation", actor_id)


def ask_reset(conn: Connection, rules: ConfirmationRules, address: str) -> None:
    """Mail a link to whoever logs in with an address; nothing where nobody does, or too many links went there."""
    account = accounts.by_email(conn, email_key(address))
    if account is None or account.disabled_at is not None:
        return
    with suppress(ConfirmationsSpent):
        _mail(conn, rules, account, "password_reset", actor_id="")


def holder(conn: Connection, rules: ConfirmationRules, token: str) -> Account:
    """Whose password a token sets; it is not used up. Raises `LinkInvalid`."""
    found = links.good(conn, rules.link_hash(token), steady_micros())
    account = accounts.by_id(conn, found.account_id) if found else None
    if found is None or account is None or not _may_use(rules, found, account):
        raise LinkInvalid
    return account


def redeem(conn: Connection, rules: ConfirmationRules, token: str, password_hash: str) -> Account:
    """Use a token up, and set its account's password; the account as it was before. Raises `LinkInvalid`.

    All its sessions end, nobody is known to it or locked out of it, and the address that the link was mailed to is
    confirmed. Who had an address unconfirmed may have been anybody: their phone and second factor go, and what
    they allowed apps. A confirmed one's second factor stays.
    """
    link_hash = rules.link_hash(token)
    found = links.good(conn, link_hash, steady_micros())
    account = accounts.to_change(conn, found.account_id) if found else None  # before its links, as `_put` does
    used = links.use(conn, link_hash, steady_micros()) if account else None
    if used is None or account is None or not _may_use(rules, used, account):
        raise LinkInvalid
    if used.recipient is not None:
        _confirm(conn, account)
    set_password(conn, rules, account.id, password_hash, Act(_act_of(used.purpose), account.id, account.id))
    sessions.revoke_all(conn, account.id)
    known_callers.forget_all(conn, account.id)
    return account


def set_password(
    conn: Connection, rules: ConfirmationRules, account_id: str, password_hash: str, act: Act
) -> None:
    """Another password from now on: recorded as `act`, its owner is told, and no link of before is good.

    Nor does an address any more wait to take the place of the account's: who had the old password may have asked.
    """
    accounts.set_password(conn, account_id, password_hash, now_micros())
    links.forget(conn, account_id)
    audit.record(conn, act)
    account = accounts.by_id(conn, account_id)
    if account is None:
        return
    if account.new_email is not None:
        confirmations.forget(conn, account_id, "email")
        accounts.change(conn, msgspec.structs.replace(account, new_email=None, updated_at=now_micros()))
    tell_of_change(conn, rules, account)


def _mail(
    conn: Connection, rules: ConfirmationRules, account: Account, purpose: LinkPurpose, actor_id: str
) -> None:
    assert account.email is not None
    spend(conn, rules, "email", account.email, steady_micros(), reserved=RESERVED)
    seed = token_bytes(SEED_BYTES)
    link = _put(conn, rules, account.id, purpose, seed, rules.recipient("email", account.email))
    write_letter(conn, rules, account, purpose, LetterLink(seed, link.expires_at))
    audit.record(conn, Act("link_made", actor_id, account.id, {"purpose": purpose}))


def _put(
    conn: Connection,
    rules: ConfirmationRules,
    account_id: str,
    purpose: LinkPurpose,
    seed: bytes,
    recipient: bytes | None,
) -> OneTimeLink:
    accounts.bare_to_change(conn, account_id)  # of two links that are made at once, one is the newest
    link_hash = rules.link_hash(rules.link_token(seed))
    link = OneTimeLink(link_hash, account_id, purpose, steady_micros() + LIFETIME_US[purpose], None, recipient)
    links.put(conn, link)
    return link


def _may_use(rules: ConfirmationRules, link: OneTimeLink, account: Account) -> bool:
    """Whether a link still is its account's: not of one that is disabled, or has another address by now."""
    if account.disabled_at is not None:
        return False
    if link.recipient is None:
        return True
    return account.email is not None and link.recipient == rules.recipient("email", account.email)


def _confirm(conn: Connection, account: Account) -> None:
    assert account.email is not None
    kept = msgspec.structs.replace(account, new_email=None, updated_at=now_micros())
    if account.email_confirmed_at is None:
        kept = msgspec.structs.replace(kept, phone=None, phone_confirmed_at=None)
        _forget_stranger(conn, account.id)
    confirmations.forget(conn, account.id, "email")
    accounts.change(conn, kept)
    accounts.confirm_email(conn, account.id, account.email, email_key(account.email), kept.updated_at)


def _forget_stranger(conn: Connection, account_id: str) -> None:
    """Nothing is left of who registered with an address that is somebody else's, and would keep them out."""
    confirmations.forget(conn, account_id, "sms")
    consents.forget(conn, account_id)
    if second_factors.forget(conn, account_id):
        audit.record(conn, Act("second_factor_removed", account_id, account_id))


def _act_of(purpose: LinkPurpose) -> ActKind:
    match purpose:
        case "password_reset":
            return "password_reset"
        case "invitation":
            return "password_changed"
        case _:
            assert_never(purpose)
