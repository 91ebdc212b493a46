"""Where a payer may be sent back to: origins (RFC 6454) registered for the merchant, or loopback locally."""

from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORTS = {"http": 80, "https": 443}
LENGTH_MAX = 2_048


def origin(url: str) -> str | None:
    """`scheme://host[:port]` of an http(s) URL; None for anything else, or with a user name in it."""
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
    """Whether the URL points to this very machine."""
    return origin(url) is not None and urlsplit(url).hostname in LOOPBACK


def may_return(url: str, registered: list[str], profile: str) -> bool:
    """Whether `url` has an origin of `registered`, or is loopback in the local profile."""
    return origin(url) in registered or (profile == "local" and is_loopback(url))
