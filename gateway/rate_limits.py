"""Rate limits: their classes as data, enforced by the generic cell rate algorithm (docs/decisions/0005, 0038)."""

import math
from collections import OrderedDict
from time import monotonic

import msgspec

from gateway.problems import Problem

KEYS_MAX = 20_000  # of a class: bounds memory
LOOKED_AT = 2  # old keys per new one: a table that is full of what may go is soon empty


class RateLimit(msgspec.Struct, frozen=True):
    """`per_second` on average, `burst` at once.

    `shared`: how many cells those share who come while the table of the class is full. With one of them a flood
    of keys gets no more than a single key; with many an honest newcomer hardly meets the flood.
    """

    per_second: float
    burst: int
    shared: int = 1


FAIR = 1_024
LIMITS: dict[str, RateLimit] = {
    "default": RateLimit(200, 1_000, FAIR),
    "payments": RateLimit(200, 1_000, FAIR),
    "import": RateLimit(20_000, 40_000, FAIR),  # the account that replays history
    "service": RateLimit(5_000, 20_000, FAIR),  # ours: what all customers do together, and what is tried again
    "staff": RateLimit(1_000, 5_000, FAIR),  # importers, dashboards and shoppers act in their name, beside them
    "token": RateLimit(200, 2_000, FAIR),  # by address: credentials of services
    "public": RateLimit(50, 500, FAIR),  # by address: everything that needs no token
    "probes": RateLimit(20, 200, FAIR),  # by address: readiness
    "login": RateLimit(10, 300),  # by address
    "login_email": RateLimit(1, 100),  # by e-mail, of callers who are not known; ten failures lock it besides
    "login_known": RateLimit(1, 100),  # by known device or address of an account
    "strangers": RateLimit(5, 100),  # all logins together of callers who are not known: 50 ms of hashing each
    "accounts": RateLimit(5, 300),  # by address: each new account costs 50 ms of hashing
    "confirmations": RateLimit(1 / 60, 10),  # by account: each may be a message to a stranger
    "invitations": RateLimit(1 / 60, 100),  # by who invites: each is a mail to a stranger
    "exports": RateLimit(3 / (24 * 3600), 3),  # by account: each reads all that it ever paid
    "sql_tokens": RateLimit(1 / 60, 30),  # by account: each is a row of the books, and one of the audit
    "files": RateLimit(1 / 6, 60),  # by account: each is read or written for seconds
    "saved": RateLimit(1, 60),  # by account: each writes a row of the books
    "refused": RateLimit(20, 200),  # by address: requests without a valid token; then no signature is checked
    "audited_refusals": RateLimit(1, 60),  # of logins at accounts, all together: entries of the audit
    "audited_refusals_of_nobody": RateLimit(0.1, 10),  # of those at addresses that have no account
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


class Cells:
    """One class: for each key, when its whole burst will be there again.

    Only a key whose burst is whole is forgotten, which makes no difference to it: nobody gets a new burst by
    bringing many keys.
    """

    def __init__(self) -> None:
        self._whole_at: OrderedDict[str | int, float] = OrderedDict()

    def spend(self, limit: RateLimit, key: str, now: float, *, only_look: bool = False) -> Spent:
        """Take one request of `key` off; `only_look`: say what that would be. `now`: see `RateLimits`."""
        step = 1 / limit.per_second
        cell = self._cell(limit, key, now)
        whole_at = max(self._whole_at.get(cell, 0.0), now) + step
        early = whole_at - now - limit.burst * step
        if early > 1e-9:  # not 0: rounding must not refuse a request that waited as told
            return Spent(limit.burst, 0, math.ceil(whole_at - step - now), math.ceil(early))
        if not only_look:
            self._whole_at[cell] = whole_at
        return Spent(limit.burst, int(-early / step + 1e-9), math.ceil(whole_at - now), 0)

    def _cell(self, limit: RateLimit, key: str, now: float) -> str | int:
        if key in self._whole_at:
            return key
        self._forget_whole(now)
        if len(self._whole_at) < KEYS_MAX:
            return key
        return hash(key) % limit.shared  # Python seeds the hash of a text: nobody can choose their neighbours

    def _forget_whole(self, now: float) -> None:
        for _ in range(min(LOOKED_AT, len(self._whole_at))):
            key, whole_at = self._whole_at.popitem(last=False)
            if whole_at > now:
                self._whole_at[key] = whole_at


class RateLimits:
    """The limits of one process. `now` in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._cells: dict[str, Cells] = {}

    def spend(self, kind: str, key: str, now: float) -> Spent:
        """Take one request of `key` off the class `kind`."""
        return self._of(kind).spend(LIMITS[kind], key, now)

    def look(self, kind: str, key: str, now: float) -> Spent:
        """What `spend` would say, and nothing is spent."""
        return self._of(kind).spend(LIMITS[kind], key, now, only_look=True)

    def _of(self, kind: str) -> Cells:
        found = self._cells.get(kind)
        if found is None:
            found = self._cells[kind] = Cells()
        return found


def take(limits: RateLimits, kind: str, key: str) -> None:
    """Take one request of `key` off the class `kind` now. Raises the problem `rate_limited`."""
    refuse_early(limits.spend(kind, key, monotonic()))


def refuse_early(spent: Spent) -> None:
    """Raises the problem `rate_limited` for a request that came too early."""
    if spent.retry_after_s:
        raise Problem("rate_limited", retry_after_s=spent.retry_after_s, headers=spent.headers())
