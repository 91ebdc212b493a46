"""The times and limits that payments are handled by, from the settings, in the books' units."""

import msgspec

from gateway.settings import GatewaySettings
from schemas.ids import new_id

SECOND = 1_000_000  # microseconds
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

# A request can still land after we gave it up: its id is looked up again this long after (design §3).
WATCH = {
    "local": (10 * SECOND, 30 * SECOND),
    "production": (MINUTE, 5 * MINUTE, HOUR, 24 * HOUR),
}
APPROVAL_MAX = 3 * HOUR  # PayPal keeps an order open for its payer this long
INTERRUPTED_AFTER = 10 * SECOND  # how long a received payment waits for its client to come back


class Terms(msgspec.Struct, frozen=True):
    """Times in microseconds, caps in minor units. `worker` names this process in leases."""

    worker: str
    lease: int
    call_timeout: int
    unknown_window: int
    watch: tuple[int, ...]
    card_cap: int
    merchant_cap: int


def terms_of(settings: GatewaySettings) -> Terms:
    """The terms of one gateway process."""
    return Terms(
        worker=new_id("wrk"),
        lease=int(settings.lease_s * SECOND),
        call_timeout=int(settings.call_timeout_s * SECOND),
        unknown_window=int(settings.unknown_window_s * SECOND),
        watch=WATCH[settings.profile],
        card_cap=settings.stand_in_card_cap,
        merchant_cap=settings.stand_in_merchant_cap,
    )
