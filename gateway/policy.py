"""The times and caps that payments are handled by, made from the settings, in the books' units."""

import msgspec

from gateway.settings import GatewaySettings
from schemas.ids import new_id

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US

# A request can still land after it was given up: the pauses before each further look-up of its id.
WATCH_US = {
    "local": (10 * SECOND_US, 30 * SECOND_US),
    "production": (MINUTE_US, 5 * MINUTE_US, HOUR_US, 24 * HOUR_US),
}
APPROVAL_MAX_US = 3 * HOUR_US  # PayPal keeps an order open for its payer this long
INTERRUPTED_AFTER_US = 10 * SECOND_US  # how long a received payment waits for its client to come back


class Policy(msgspec.Struct, frozen=True):
    """Times in microseconds, caps in minor units. `worker_id` names this process in leases.

    `lease_us`: how long work in hand belongs to a worker. `unknown_window_us`: from the end of a call's timeout to
    the first look-up of it, and between the later ones. `watch_us`: the pauses before each further look-up of a
    call that was given up. `review_max_us`: how long a review whose issuer was not asked stays open.
    """

    worker_id: str
    lease_us: int
    call_timeout_us: int
    unknown_window_us: int
    watch_us: tuple[int, ...]
    review_max_us: int
    card_cap: int
    merchant_cap: int


def policy_of(settings: GatewaySettings) -> Policy:
    """The policy of one gateway process."""
    return Policy(
        worker_id=new_id("wrk"),
        lease_us=int(settings.lease_s * SECOND_US),
        call_timeout_us=int(settings.call_timeout_s * SECOND_US),
        unknown_window_us=int(settings.unknown_window_s * SECOND_US),
        watch_us=WATCH_US[settings.profile],
        review_max_us=int(settings.review_max_s * SECOND_US),
        card_cap=settings.stand_in_card_cap,
        merchant_cap=settings.stand_in_merchant_cap,
    )
