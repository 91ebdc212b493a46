"""One's own second factor: setting it up, confirming it with a first code, removing it with one."""

import msgspec
from quart import Blueprint

from gateway.free_text import Unstored
from gateway.identity import second_factors, totp
from gateway.identity.login_tries import Whence, caller_of
from gateway.identity.logins import check_presence, check_second_factor
from gateway.identity.second_factors import new_second_factor
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import answered_before, write_once
from gateway.web.known_device import whence_of

blueprint = Blueprint("second_factor", __name__)


class SecondFactorRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`password`: needed ten minutes after the login, and of an app always."""

    password: Unstored | None = None


class SecondFactorSetup(msgspec.Struct, frozen=True):
    """`secret` in Base32, for an authenticator app; `uri`: the same, for a QR code. Nothing is shown again.

    `recovery_codes`: each takes the place of a code, once.
    """

    secret: str
    uri: str
    recovery_codes: list[str]


class OtpRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code of the authenticator app, or where one is removed a recovery code."""

    otp: Unstored


@blueprint.post("/v1/me/totp")
@endpoint(
    scope="credentials",
    body=SecondFactorRequest,
    answers={200: SecondFactorSetup},
    codes=("invalid_credentials", "rate_limited", "unavailable", "wrong_state"),
)
async def set_up_second_factor(call: Call[SecondFactorRequest, None]) -> Reply:
    """Begin to set up a second factor (TOTP). It counts once its first code was confirmed; a former try is void.

    Where there is one already it is a 409: remove that one first.
    """
    runtime, account_id, password = call.runtime, call.caller.actor_id, call.body.password or ""
    await check_presence(runtime, account_id, call.caller.login_id(), password, whence_of(call.ip))
    new = new_second_factor()
    email = await runtime.books.write(second_factors.set_up, runtime.key, account_id, new)
    setup = SecondFactorSetup(totp.readable(new.secret), totp.uri(new.secret, email), new.recovery_codes)
    return Reply(200, setup)


@blueprint.post("/v1/me/totp/confirm")
@endpoint(
    scope="credentials",
    body=OtpRequest,
    answers={204: None},
    codes=("otp_required", "wrong_state"),
    idempotency="accepted",
)
async def confirm_second_factor(call: Call[OtpRequest, None]) -> Reply:
    """Confirm the second factor with a first code. It counts from now on, and every other session ends."""
    if earlier := await answered_before(call):
        return earlier
    caller, otp = call.caller, call.body.otp.strip()
    return await write_once(
        call, 204, second_factors.confirm, call.runtime.confirmation_rules, caller.actor_id, caller.session_id, otp
    )


@blueprint.delete("/v1/me/totp")
@endpoint(
    scope="credentials",
    body=OtpRequest,
    answers={204: None},
    codes=("otp_required", "rate_limited", "wrong_state"),
)
async def remove_second_factor(call: Call[OtpRequest, None]) -> Reply:
    """Remove the second factor, with a code of it, and end every other session. Staff need a new one at once."""
    runtime, caller = call.runtime, call.caller
    owner = await runtime.books.read(caller_of, runtime.key, caller.actor_id, Whence("", ""))
    await check_second_factor(runtime, owner, call.body.otp.strip())
    await runtime.books.write(
        second_factors.remove, runtime.confirmation_rules, caller.actor_id, caller.session_id
    )
    return Reply(204)
