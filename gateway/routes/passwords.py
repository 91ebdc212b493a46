"""Passwords: changed by who knows the old one, set anew by who reads the account's mails."""

import msgspec
from quart import Blueprint

from gateway.addresses import counted_network
from gateway.free_text import Unstored
from gateway.identity.password_changes import accept_link, change_password, request_reset
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint

blueprint = Blueprint("passwords", __name__)


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`new`: 12 to 128 characters, and none that guessers try first."""

    old: Unstored
    new: Unstored


class PasswordResetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address that somebody logs in with."""

    email: Unstored


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`token`: of the newest link that was mailed, good once. `password`: 12 to 128 characters, no common one."""

    token: Unstored
    password: Unstored


@blueprint.post("/v1/me/password")
@endpoint(scope="credentials", body=PasswordChange, answers={204: None}, codes=("unavailable",))
async def change_own_password(call: Call[PasswordChange, None]) -> Reply:
    """Change one's own password. Every other session ends at once, and the owner is told by mail."""
    runtime, caller, body = call.runtime, call.caller, call.body
    session = (caller.actor_id, caller.session_id)
    await change_password(
        runtime.books, runtime.passwords, runtime.confirmation_rules, session, body.old, body.new
    )
    return Reply(204)


@blueprint.post("/v1/password/reset")
@endpoint(scope=None, limit="public", body=PasswordResetRequest, answers={202: None}, codes=("unavailable",))
async def reset_password(call: Call[PasswordResetRequest, None]) -> Reply:
    """Mail a link to set a new password, if somebody logs in with that address. The answer does not tell."""
    network = counted_network(call.ip, call.runtime.settings.profile)
    await request_reset(call.runtime, network, call.body.email)
    return Reply(202)


@blueprint.post("/v1/password/reset/confirm")
@endpoint(
    scope=None,
    limit="public",
    body=NewPassword,
    answers={204: None},
    codes=("confirmation_invalid", "unavailable"),
)
async def confirm_reset(call: Call[NewPassword, None]) -> Reply:
    """Set the password with the token of a link, or of an invitation. All sessions end; a second factor stays."""
    runtime, body = call.runtime, call.body
    await accept_link(
        runtime.books, runtime.passwords, runtime.confirmation_rules, body.token.strip(), body.password
    )
    return Reply(204)
