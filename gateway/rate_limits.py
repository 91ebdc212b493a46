"""Rate limits: their classes as data, enforced by the generic cell rate algorithm (docs/decisions/0005)."""

import math

import msgspec
from cachetools import FIFOCache

KEYS_MAX = 50_000  # bounds memory; the longest unused key goes first, and has its whole burst again


class RateLimit(msgspec.Struct, frozen=True):
    """`per_second` on average, `burst` at once."""

    per_second: float
    burst: int


LIMITS: dict[str, RateLimit] = {
    "default": RateLimit(200, 1_000),
    "payments": RateLimit(200, 1_000),
    "import": RateLimit(20_000, 40_000),  # the account that replays history
    "service": RateLimit(5_000, 20_000),  # ours: what all customers do together, and what is tried again
    "staff": RateLimit(1_000, 5_000),  # importers, dashboards and shoppers act in their name, beside them
    "token": RateLimit(200, 2_000),  # by address: credentials of services, apart from what else comes from there
    "public": RateLimit(50, 500),  # by address: everything that needs no token
    "login": RateLimit(10, 300),  # by address
    "login_email": RateLimit(1, 100),  # by e-mail; ten failures lock the account besides
    "accounts": RateLimit(5, 300),  # by address: each new account costs 50 ms of hashing
    "confirmations": RateLimit(1 / 60, 10),  # by account: each may be a message to a stranger
    "refused": RateLimit(20, 200),  # by address: requests without a valid token
    "unavailable": RateLimit(0.1, 1),  # by dependency: log lines that say so
}


class Spent(msgspec.Struct, frozen=True):
    """A limit after one request. `retry_after_s` > 0: the request came too early and spent nothing.

    `limit` and `remaining` in requests, `reset` in seconds until the whole burst is there again.
    """

    limit: int
    remaining: int
    reset: int
    retry_after_s: int

    def headers(self) -> dict[str, str]:
        """The RateLimit header fields of draft-ietf-httpapi-ratelimit-headers-07, which most clients read."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class RateLimits:
    """The cells of one process: for each class and key, when its whole burst will be there again."""

    def __init__(self) -> None:
        # Setting a key moves it to the end: the first to go is the one that spent nothing for the longest time.
        # An LRUCache would count refused requests as use, too.
        self._whole_at: FIFOCache[tuple[str, str], float] = FIFOCache(KEYS_MAX)

    def spend(self, kind: str, key: str, now: float) -> Spent:
        """Take one request of `key` off the class `kind`; `now` in seconds of a monotonic clock."""
        limit = LIMITS[kind]
        step = 1 / limit.per_second
        cell = (kind, key)
        whole_at = max(self._whole_at.get(cell, 0.0), now) + step
        early = whole_at - now - limit.burst * step
        if early > 1e-9:  # not 0: rounding must not refuse a request that waited as told
            return Spent(limit.burst, 0, math.ceil(whole_at - step - now), math.ceil(early))
        self._whole_at[cell] = whole_at
        return Spent(limit.burst, int(-early / step + 1e-9), math.ceil(whole_at - now), 0)
