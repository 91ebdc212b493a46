"""The device that a login comes from: what it says of itself, and the cookie by which an account knows it."""

from quart import request
from werkzeug.http import dump_cookie

from gateway.addresses import network_of
from gateway.identity.devices import device_label
from gateway.identity.login_tries import COOKIE, COOKIE_AGE_S, Whence
from gateway.runtime import Runtime


def whence_of(ip: str) -> Whence:
    """Where the login that is asked for comes from, which is sent from `ip`."""
    label = device_label(request.headers.get("User-Agent", ""))
    return Whence(request.cookies.get(COOKIE, ""), network_of(ip), label)


def device_cookie(runtime: Runtime, device: str) -> str:
    """It opens nothing without the password; no script reads it, and no other site's page sends it (RFC 6265)."""
    secure = runtime.settings.is_https()
    return dump_cookie(
        COOKIE, device, COOKIE_AGE_S, secure=secure, httponly=True, sync_expires=False, samesite="Strict"
    )
