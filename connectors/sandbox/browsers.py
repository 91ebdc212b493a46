"""Which requests twins and catcher take from a browser: its own pages' and a person's, no other page's.

They listen on this machine without a login, so any page that a browser here shows could ask them: by a form or
script of its own origin (refused by Origin, RFC 6454 §7, and Sec-Fetch-Site, W3C Fetch Metadata), or under a name
of its own that it points to this machine (DNS rebinding; refused by Host). What is no browser is not concerned.
"""

import ipaddress
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class BrowserRefusal(NamedTuple):
    """Why a request is refused: HTTP status, a code, and what to say."""

    status: int
    code: str
    detail: str

    def response(self) -> web.Response:
        """The refusal as a problem (RFC 9457)."""
        body = {
            "type": "about:blank",
            "title": "Not for other pages.",
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return web.Response(
            status=self.status, body=msgspec.json.encode(body), content_type="application/problem+json"
        )


FOREIGN_HOST = BrowserRefusal(421, "foreign_host", "This server is not known by the name in the header Host.")
FOREIGN_ORIGIN = BrowserRefusal(403, "foreign_origin", "A page of another origin asked, as the headers say.")


def refusal(method: str, headers: Mapping[str, str], names: Collection[str]) -> BrowserRefusal | None:
    """Why a request is refused; None where it is not. `names`: by which the server is known beside `localhost`."""
    host, origin = headers.get("Host", ""), headers.get("Origin")
    if host and not _is_ours(host, names):
        return FOREIGN_HOST
    if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
        return FOREIGN_ORIGIN
    if headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"} and not _is_followed_link(method, headers):
        return FOREIGN_ORIGIN
    return None


def guard(names: Collection[str]) -> Middleware:
    """aiohttp's middleware that refuses those requests."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        found = refusal(request.method, request.headers, names)
        return found.response() if found else await handler(request)

    return refuse


def names_of(*addresses: str) -> frozenset[str]:
    """The host names in addresses, with or without a scheme; empty ones have none."""
    hosts = (urlsplit(each if "//" in each else f"//{each}").hostname for each in addresses)
    return frozenset(host for host in hosts if host)


def _is_ours(host: str, names: Collection[str]) -> bool:
    """An address is: a page under another name cannot send it. So is every name below `localhost` (RFC 6761)."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_followed_link(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a person went there, as a payer does to PayPal: no other page can read what comes, or frame it."""
    mode, target = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest", "document")
    return method in {"GET", "HEAD"} and mode == "navigate" and target == "document"
