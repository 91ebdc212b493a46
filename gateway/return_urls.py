"""Where a payer may be sent back to: origins (RFC 6454) registered for the merchant, or loopback locally."""

from typing import assert_never
from urllib.parse import urlsplit

from schemas.settings import ProfileName

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORTS = {"http": 80, "https": 443}
LENGTH_MAX = 2_048


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
    return host is not None and (host in LOOPBACK or host.endswith(".localhost"))


def allows_loopback(profile: ProfileName) -> bool:
    """Whether payers may be sent to a shop on this machine: while developing one, in the local profile."""
    match profile:
        case "local":
            return True
        case "production":
            return False
        case _:
            assert_never(profile)


def may_return(url: str, registered: list[str], profile: ProfileName) -> bool:
    """Whether `url` has an origin of `registered`, or is loopback where the profile allows it."""
    return origin(url) in registered or (allows_loopback(profile) and is_loopback(url))
