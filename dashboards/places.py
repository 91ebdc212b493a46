"""Where a browser was when it was sent to log in: it comes back to the first page, and goes on from there."""

import time
from collections.abc import Mapping
from threading import Lock

import msgspec
from cachetools import TTLCache

KEPT = 10_000  # browsers
KEPT_FOR_S = 900.0  # as long as a login may take
AGAIN_AFTER_S = 30.0  # a browser that comes back sooner without a session is asked, not sent
COOKIE = "_streamlit_xsrf"  # lives as long as the browser's session, and says nothing of a person


class PagePlace(msgspec.Struct, frozen=True):
    """A page by its path, and its query."""

    path: str
    query: dict[str, str]


class Places:
    """The place of each browser that is logging in, and when each was last sent to log in unasked."""

    def __init__(self) -> None:
        self._places: TTLCache[str, PagePlace] = TTLCache(KEPT, KEPT_FOR_S, time.monotonic)
        self._sent: TTLCache[str, bool] = TTLCache(KEPT, AGAIN_AFTER_S, time.monotonic)
        self._lock = Lock()  # sessions run in threads of their own

    def keep(self, browser: str, place: PagePlace) -> None:
        """Note where a browser is. One without a name has no place."""
        with self._lock:
            if browser:
                self._places[browser] = place

    def take(self, browser: str) -> PagePlace | None:
        """Where the browser was; only once."""
        with self._lock:
            return self._places.pop(browser, None)

    def may_send(self, browser: str) -> bool:
        """Whether to send the browser to log in unasked, which counts as sent: not twice in `AGAIN_AFTER_S`."""
        with self._lock:
            if not browser or browser in self._sent:
                return False
            self._sent[browser] = True
            return True


def browser_of(cookies: Mapping[str, str]) -> str:
    """A name for the browser that stays the same over a login; empty where it takes no cookies.

    The cookie is `2|mask|masked|time`, in hexadecimal digits, masked anew with each page (its token is not).
    """
    parts = cookies.get(COOKIE, "").split("|")
    try:
        mask, masked = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
    except (IndexError, ValueError):
        return ""
    return bytes(byte ^ mask[at % len(mask)] for at, byte in enumerate(masked)).hex() if mask else ""
