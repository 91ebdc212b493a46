"""Where a browser may be sent back to: what a merchant registered, or this machine in the local profile.

A merchant registers origins (RFC 6454), whose pages may also call the API, and single addresses.
"""

from collections.abc import Sequence
from typing import assert_never
from urllib.parse import urlsplit

from gateway.refusals import FieldError, InvalidFields
from schemas.settings import ProfileName, is_this_machine

PORTS = {"http": 80, "https": 443}
LENGTH_MAX = 2_048
NEVER = "#* "  # a fragment (RFC 6749 §3.1.2), a wildcard (RFC 9700 §4.1), what browsers write in another way


def origin(url: str) -> str | None:
    """`scheme://host[:port]` of an http(s) URL; None for any other text, and for a URL with a user name.

    Backslashes and non-ASCII hosts are refused: browsers and `urlsplit` disagree about the host then.
    """
    if len(url) > LENGTH_MAX or not url.isascii() or not url.isprintable() or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = "" if port in (None, PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def is_loopback(url: str) -> bool:
    """Whether an http(s) URL points to this machine, as every name below `localhost` does (RFC 6761)."""
    host = urlsplit(url).hostname if origin(url) else None
    return host is not None and is_this_machine(host)


def allows_loopback(profile: ProfileName) -> bool:
    """Whether payers may be sent to a shop on this machine: while developing one, in the local profile."""
    match profile:
        case "local":
            return True
        case "production":
            return False
        case _:
            assert_never(profile)


def may_return(url: str, origins: Sequence[str], urls: Sequence[str], profile: ProfileName) -> bool:
    """Whether `url` is one of `urls`, has one of `origins`, or is loopback where the profile allows it."""
    return url in urls or is_of(url, origins, profile)


def is_of(url: str, origins: Sequence[str], profile: ProfileName) -> bool:
    """Whether `url` has an origin of `origins`, or is loopback where the profile allows it."""
    return origin(url) in origins or (allows_loopback(profile) and is_loopback(url))


def checked_origin(given: str, path: str, profile: ProfileName) -> str:
    """An origin in its normal form. Raises `InvalidFields` for anything more, and for what is not https."""
    found = origin(given)
    if found is None or found != given.rstrip("/").lower():
        raise InvalidFields(FieldError(path, "Not an origin as https://shop.example."))
    _check_scheme(found, path, profile)
    return found


def checked_url(given: str, path: str, profile: ProfileName) -> str:
    """An address to send a browser to, as it is: later ones are compared with it letter by letter.

    Raises `InvalidFields` for one with a fragment, a user name or a wildcard, and for what is not https.
    """
    if origin(given) is None or any(sign in given for sign in NEVER):
        raise InvalidFields(
            FieldError(path, "Not a whole address as https://shop.example/back, or more than one.")
        )
    _check_scheme(given, path, profile)
    return given


def _check_scheme(url: str, path: str, profile: ProfileName) -> None:
    if not url.startswith("https://") and not (allows_loopback(profile) and is_loopback(url)):
        raise InvalidFields(FieldError(path, "Only https, or loopback in the local profile."))
