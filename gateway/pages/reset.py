"""A forgotten password, and an invitation: a link from a mail, behind which one chooses a password.

The token is in the page's address and in its form, and goes nowhere else: pages send no referrer, and load nothing
from others. Opening a link changes nothing, whoever does it: mail servers look at what a link leads to.
"""

from typing import Any

import msgspec
from quart import Blueprint

from gateway.addresses import counted_network
from gateway.books.accounts import Account
from gateway.free_text import Unstored
from gateway.identity.links import LinkInvalid, holder
from gateway.identity.logins import caller_on
from gateway.identity.password_changes import accept_link, request_reset
from gateway.pages.error_pages import ErrorWords, error_page
from gateway.pages.forms import FORM_CODES, Fields, field_errors, missing, submitted
from gateway.pages.login import after_password
from gateway.pages.render import notice, page
from gateway.refusals import InvalidFields
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.known_device import whence_of
from gateway.web.openapi import PAGE

blueprint = Blueprint("reset_pages", __name__)

SENT = (
    "If somebody logs in with that address, a mail with a link is on its way. It works once, within an hour.",
    "Nothing came? Look where your mailbox keeps spam, then ask again with the address that you log in with.",
)
LOG_IN: dict[str, Any] = {"link": "/login", "link_text": "Go to the login"}
CHANGED = "Log in with it. Everybody who was logged in with the old one is logged out."
DEAD = "This link is not good any more: it was used, it is too old, or a newer one was sent."
ASK_ANEW = ErrorWords("The link does not work", "Have a new one sent, and use that.", "Send a new link", "/reset")
ASK_OTHERS = ErrorWords("The invitation does not work", "Ask whoever invited you to do it again.")


class LinkQuery(msgspec.Struct, frozen=True):
    """The token of a link."""

    token: Unstored = ""


@blueprint.get("/reset")
@endpoint(scope=None, limit="public", query=LinkQuery, answers={200: str, 410: str}, media=PAGE)
async def show_reset(call: Call[None, LinkQuery]) -> Reply:
    """Ask for the address of who forgot their password; with a link's `token` for the new password."""
    if not call.query.token:
        return _request_form()
    return await _choice(call, call.query.token, invited=False)


@blueprint.post("/reset")
@endpoint(
    scope=None, limit="login", answers={200: str, 410: str, 422: str}, codes=FORM_CODES, form=True, media=PAGE
)
async def ask_or_reset(call: Call[None, None]) -> Reply:
    """Mail a link, whose answer is the same whether anybody logs in with the address; or set the new password."""
    fields = await submitted()
    if fields["token"]:
        done = await _accept(call, fields, invited=False)
        return done if isinstance(done, Reply) else notice("Your password is changed", CHANGED, **LOG_IN)
    if errors := missing(fields, email="Enter your e-mail address."):
        return _request_form(422, errors)
    network = counted_network(call.ip, call.runtime.settings.profile)
    await request_reset(call.runtime, network, fields["email"])
    return notice("Look into your mailbox", *SENT, **LOG_IN)


@blueprint.get("/invitation")
@endpoint(scope=None, limit="public", query=LinkQuery, answers={200: str, 410: str}, media=PAGE)
async def show_invitation(call: Call[None, LinkQuery]) -> Reply:
    """Welcome somebody who was invited, and have them choose a password."""
    return await _choice(call, call.query.token, invited=True)


@blueprint.post("/invitation")
@endpoint(
    scope=None,
    limit="login",
    answers={303: None, 410: str, 422: str},
    codes=(*FORM_CODES, "invalid_credentials"),
    form=True,
    media=PAGE,
)
async def accept_invitation(call: Call[None, None]) -> Reply:
    """Set the first password and log in with it; whose role needs a second factor sets it up next."""
    done = await _accept(call, await submitted(), invited=True)
    if isinstance(done, Reply):
        return done
    return await after_password(call, await caller_on(call.runtime, done.id, whence_of(call.ip)))


async def _choice(call: Call[Any, Any], token: str, *, invited: bool) -> Reply:
    try:
        await call.runtime.books.read(holder, call.runtime.confirmation_rules, token)
    except LinkInvalid:
        return _dead(invited=invited)
    return _password_form(token, invited=invited)


async def _accept(call: Call[Any, Any], fields: Fields, *, invited: bool) -> Account | Reply:
    """Set the password that was chosen: whose it is, or the page that says what is wrong with it, or the link."""
    runtime, token = call.runtime, fields["token"].strip()
    parts = (runtime.books, runtime.passwords, runtime.confirmation_rules)
    try:
        return await accept_link(*parts, token, fields["password"])
    except LinkInvalid:
        return _dead(invited=invited)
    except InvalidFields as refused:
        return _password_form(token, 422, field_errors(refused), invited=invited)


def _request_form(status: int = 200, errors: dict[str, str] | None = None) -> Reply:
    return page("reset_request.html", status, errors=errors or {}, email="")


def _password_form(token: str, status: int = 200, errors: dict[str, str] | None = None, *, invited: bool) -> Reply:
    action = "/invitation" if invited else "/reset"
    return page("new_password.html", status, errors=errors or {}, action=action, token=token, invited=invited)


def _dead(*, invited: bool) -> Reply:
    return error_page(410, DEAD, ASK_OTHERS if invited else ASK_ANEW)
