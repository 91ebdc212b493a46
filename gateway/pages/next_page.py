"""Where one goes after a login: to a page of ours, never to another site (RFC 9700 §4.11, open redirectors)."""

import re
from urllib.parse import quote, unquote

from quart import request

LENGTH_MAX = 6_000  # characters; a request for a code has a few hundred, and 2,048 in its `state` at most
# What a path and its query may be made of (RFC 3986 §3.3): no backslash, which browsers take for a slash, no blank
# or control character, which they leave out.
PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
HOME = "/login"


def own_path(given: str) -> str:
    """`given` if it is the path of a page here, with its query; else empty."""
    path = given.partition("?")[0]
    if len(given) > LENGTH_MAX or not PATH.fullmatch(given):
        return ""
    for read in (path, unquote(path), unquote(unquote(path))):  # a proxy may decode it, and once more
        if "//" in read or "\\" in read or "/../" in f"{read}/" or not read.isprintable():
            return ""
    return given


def asked_for() -> str:
    """The page that this request says one goes to afterwards (`?next=`); empty where it is none of ours."""
    given = request.args.getlist("next")
    return own_path(given[0]) if len(given) == 1 else ""


def with_next(path: str, next_path: str) -> str:
    """`path`, from which one goes on to `next_path` (empty: nowhere)."""
    joint = "&" if "?" in path else "?"
    return f"{path}{joint}next={quote(next_path, safe='')}" if next_path else path
