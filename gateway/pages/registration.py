"""A new customer's account, and the confirmation of an e-mail address: by a button, never by opening a link."""

import re
from typing import Any

from quart import Blueprint

from gateway.addresses import counted_network
from gateway.books.accounts import EmailTaken
from gateway.identity import confirmations
from gateway.identity.confirmations import CannotConfirm, ConfirmationInvalid
from gateway.identity.logins import caller_on
from gateway.identity.registrations import Applicant, register
from gateway.pages.forms import FORM_CODES, field_errors, missing, submitted
from gateway.pages.login import after_password
from gateway.pages.next_page import asked_for, with_next
from gateway.pages.render import notice, page, see
from gateway.pages.reset import LinkQuery
from gateway.refusals import InvalidFields
from gateway.web.browser_session import current
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint, spend
from gateway.web.known_device import whence_of
from gateway.web.openapi import PAGE

blueprint = Blueprint("registration_pages", __name__)

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits, as `ConfirmationRules.token` writes them
TAKEN = "There is an account with this address. Log in with it, or have yourself sent a link for a new password."
INVALID = "This confirmation is not good any more: it was used, it is too old, or a newer one was sent."
ASKED = {
    "name": "Enter your name.",
    "email": "Enter your e-mail address.",
    "password": "Choose a password.",
}


@blueprint.get("/register")
@endpoint(scope=None, limit="public", answers={200: str}, media=PAGE)
async def show_register(call: Call[None, None]) -> Reply:
    """Show the form for a new account."""
    return _form()


@blueprint.post("/register")
@endpoint(
    scope=None,
    limit="accounts",
    answers={303: None, 409: str, 422: str},
    codes=(*FORM_CODES, "invalid_credentials"),
    form=True,
    media=PAGE,
)
async def create_account(call: Call[None, None]) -> Reply:
    """Create a customer's account and log in with it. An address that is taken is said to be (decision 0006)."""
    fields, runtime = await submitted(), call.runtime
    typed: dict[str, Any] = {"name": fields["name"], "email": fields["email"]}
    if errors := missing(fields, **ASKED):
        return _form(422, errors=errors, **typed)
    parts = (runtime.books, runtime.passwords, runtime.confirmation_rules)
    applicant = Applicant(password=fields["password"], **typed)
    try:
        network = counted_network(call.ip, runtime.settings.profile)
        account = await register(*parts, applicant, network)
    except InvalidFields as refused:
        return _form(422, errors=field_errors(refused), **typed)
    except EmailTaken:
        return _form(409, errors={"email": TAKEN}, **typed)
    done = await after_password(call, await caller_on(runtime, account.id, whence_of(call.ip)))
    return see(with_next("/register/done", asked_for()), done.cookies)


@blueprint.get("/register/done")
@endpoint(scope=None, limit="public", answers={200: str}, media=PAGE)
async def show_registered(call: Call[None, None]) -> Reply:
    """Say that the account is there, and that a mail waits."""
    texts = (
        "We sent you a mail: open its link to confirm your address. Until then no other mail goes there.",
        "You are logged in already.",
    )
    return notice("Your account is ready", *texts, link=with_next("/login", asked_for()))


@blueprint.get("/confirm-email")
@endpoint(scope=None, limit="public", query=LinkQuery, answers={200: str}, media=PAGE)
async def show_confirmation(call: Call[None, LinkQuery]) -> Reply:
    """Show a button that confirms: whatever only opens the link, as mail servers do, confirms nothing.

    What is no token of ours is not shown again: it could be anything, a card number too.
    """
    token = call.query.token if TOKEN.fullmatch(call.query.token) else ""
    return await _confirmation(call, token=token)


@blueprint.post("/confirm-email")
@endpoint(
    scope=None, limit="public", answers={200: str, 409: str, 422: str}, codes=FORM_CODES, form=True, media=PAGE
)
async def confirm_email(call: Call[None, None]) -> Reply:
    """Confirm the address that a mail went to."""
    fields, runtime = await submitted(), call.runtime
    if errors := missing(fields, token="Paste the confirmation from the mail."):  # noqa: S106  # words, not a token
        return await _confirmation(call, 422, errors=errors)
    try:
        token = fields["token"].strip()
        await runtime.books.write(confirmations.confirm_email, runtime.confirmation_rules, token)
    except ConfirmationInvalid:
        return await _confirmation(call, 422, problem=INVALID)
    except EmailTaken:
        return await _confirmation(call, 409, problem="Meanwhile another account has this address.")
    return notice("Your address is confirmed", "Thank you. That is all.", link="/login")


@blueprint.post("/confirm-email/again")
@endpoint(
    scope=None,
    limit="public",
    answers={200: str, 303: None},
    codes=(*FORM_CODES, "wrong_state"),
    form=True,
    media=PAGE,
)
async def send_again(call: Call[None, None]) -> Reply:
    """Have a new mail sent to who is logged in; the one before is worth nothing then."""
    await submitted()
    session = await current(call)
    if session is None:
        return see(with_next("/login", "/confirm-email"))
    rules, account_id = call.runtime.confirmation_rules, session.grant.account_id
    spend(call.runtime, "confirmations", account_id)
    try:
        await call.runtime.books.write(confirmations.ask_again, rules, account_id, "email")
    except CannotConfirm:
        return notice("Your address is confirmed", "There is nothing to do.", link="/login")
    return notice("A new mail is on its way", "Open its link within an hour; older ones do not work any more.")


def _form(status: int = 200, **fields: Any) -> Reply:
    links = {"action": with_next("/register", asked_for()), "login": with_next("/login", asked_for())}
    return page("register.html", status, **{"name": "", "email": ""} | links | fields)


async def _confirmation(call: Call[Any, Any], status: int = 200, **fields: Any) -> Reply:
    shown: dict[str, Any] = {"token": "", "may_ask": await current(call) is not None}
    return page("confirm_email.html", status, **shown | fields)
