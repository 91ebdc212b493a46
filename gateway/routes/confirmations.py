"""An address is confirmed: with the token from its mail, or the code from its short message."""

from typing import Annotated

import msgspec
from quart import Blueprint, request

from gateway.addresses import network_of
from gateway.books.confirmations import ConfirmedChannel
from gateway.free_text import of_class
from gateway.identity import confirmations
from gateway.identity.confirmations import ConfirmationInvalid, ConfirmedElsewhere
from gateway.web.call import Call, Reply
from gateway.web.endpoint import OWN, admit, endpoint
from gateway.web.idempotent import answered_before, write_once

blueprint = Blueprint("confirmations", __name__)


class EmailConfirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest token that was mailed, good once and for an hour."""

    token: Annotated[str, msgspec.Meta(max_length=128, extra=of_class("unstored"))]


class PhoneConfirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest code that was sent by SMS, good once, for an hour, and for five tries."""

    code: Annotated[str, msgspec.Meta(max_length=16, extra=of_class("unstored"))]


class ConfirmationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which address to send a new token or code to."""

    channel: ConfirmedChannel


@blueprint.post("/v1/email/confirm")
@endpoint(
    scope=None,
    limit="public",
    body=EmailConfirmation,
    answers={204: None},
    codes=("confirmation_invalid", "email_taken", "forbidden", "unauthenticated", "unavailable"),
)
async def confirm_email(call: Call[EmailConfirmation, None]) -> Reply:
    """Confirm the e-mail address that a token was mailed to. Who has the token reads the mailbox: no login.

    Where it would take the address from an account that somebody has just registered with it, an access token of
    the account that changes to it is needed too.
    """
    rules, token = call.runtime.confirmation_rules, call.body.token.strip()
    try:
        await call.runtime.books.write(confirmations.confirm_email, rules, token)
    except ConfirmedElsewhere:
        if "Authorization" not in request.headers:
            raise
        caller = await admit(call.runtime, OWN, "default", network_of(call.ip))
        await call.runtime.books.write(confirmations.confirm_email, rules, token, caller.actor_id)
    return Reply(204)


@blueprint.post("/v1/phone/confirm")
@endpoint(
    scope="account",
    body=PhoneConfirmation,
    answers={204: None},
    codes=("confirmation_invalid",),
    idempotency="accepted",
)
async def confirm_phone(call: Call[PhoneConfirmation, None]) -> Reply:
    """Confirm one's own phone with the code that was sent to it."""
    if earlier := await answered_before(call):
        return earlier
    rules, account_id = call.runtime.confirmation_rules, call.caller.actor_id
    guessed = await call.runtime.books.write(confirmations.guess_phone, rules, account_id, call.body.code.strip())
    if guessed is None:
        if earlier := await answered_before(call):  # meanwhile, by a request that came beside this one
            return earlier
        raise ConfirmationInvalid
    return await write_once(call, 204, confirmations.confirm_phone, guessed)


@blueprint.post("/v1/me/confirmations")
@endpoint(
    scope="account",
    limit="confirmations",
    body=ConfirmationRequest,
    answers={202: None},
    codes=("wrong_state",),
    idempotency="accepted",
)
async def send_confirmation(call: Call[ConfirmationRequest, None]) -> Reply:
    """Have a new token or code sent to an own address that is not confirmed; the one before is worth nothing."""
    rules, account_id = call.runtime.confirmation_rules, call.caller.actor_id
    return await write_once(call, 202, confirmations.ask_again, rules, account_id, call.body.channel)
