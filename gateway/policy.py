"""The times, caps and prints that payments are handled by, made from the settings, in the books' units."""

from math import ceil

import msgspec

from gateway.euro_rates import EuroRates
from gateway.prints import Prints, open_prints
from gateway.settings import GatewaySettings
from schemas.ids import new_id

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

# A request can still land after it was given up: the pauses before each further look-up of its id.
WATCH_US = {
    "local": (10 * SECOND_US, 30 * SECOND_US, 2 * MINUTE_US, 10 * MINUTE_US),
    "production": (MINUTE_US, 5 * MINUTE_US, HOUR_US, DAY_US),
}
# A payer may approve and never come back: the pauses before each question about it. PayPal keeps an order open for
# its payer for three hours, their sum.
ASK_PAYER_US = tuple(minutes * MINUTE_US for minutes in (1, 2, 5, 10, 12, 30, 30, 30, 30, 30))
# What we owe to release and the processor refuses: the pauses before each further try; then a person is asked.
RELEASE_US = {
    "local": (5 * SECOND_US, 10 * SECOND_US, 20 * SECOND_US),
    "production": (MINUTE_US, 10 * MINUTE_US, HOUR_US, 6 * HOUR_US, DAY_US),
}
PENDING_MAX_US = 6 * HOUR_US  # between two questions about what a processor has not decided yet
INTERRUPTED_AFTER_US = 10 * SECOND_US  # how long a received payment waits for its client to come back
# Most work in hand is done by then. What is not waits for a processor, or its worker is gone.
SOON_US = 2 * SECOND_US


class Lookalikes(msgspec.Struct, frozen=True):
    """How many distinct numbers that share BIN and last four digits are tokenized a day.

    `are_shared`: whether a number of several accounts counts once (the sandbox's test numbers are everybody's).
    Elsewhere it counts for each, so that no count depends on what another account has.
    """

    overall: int = 50
    per_account: int = 10
    per_address: int = 10
    are_shared: bool = False


class LabelBounds(msgspec.Struct, frozen=True):
    """How many labels a day are taken of one source, and of one merchant, at most.

    Beyond `source_burst` and `merchant_burst` labels a day that say otherwise than the score, further ones wait
    for a person, or for `hold_us`, unless so many are usual.
    """

    per_source: int = 200_000
    per_merchant: int = 5_000
    source_burst: int = 100
    merchant_burst: int = 25
    hold_us: int = DAY_US


class Policy(msgspec.Struct, frozen=True):
    """Times in microseconds, caps in euro cents by `rates`. `worker_id` names this process in leases.

    `lease_us`: how long work in hand belongs to a worker. `unknown_window_us`: from the end of a call's timeout to
    the first look-up of it, and between the later ones. `watch_us`: the pauses before each further look-up of a
    call that was given up. `review_max_us`: how long a review whose issuer was not asked stays open.
    `first_card_cap`: that of a card or payer that never paid, `new_cards` how many payments by such cards of a
    customer a day. `ask_payer_us`: the pauses before each question whether the payer approved an order; after the
    last one it is given up. `recovery_calls`: what recovery has in hand at one processor. `release_us`: the pauses
    before each further try of a release that was refused, after which a person is asked. `prints`: what stands for
    a card number towards each reader.
    """

    worker_id: str
    lease_us: int
    call_timeout_us: int
    unknown_window_us: int
    watch_us: tuple[int, ...]
    review_max_us: int
    card_cap: int
    merchant_cap: int
    first_card_cap: int
    new_cards: int
    rates: EuroRates
    prints: Prints
    ask_payer_us: tuple[int, ...] = ASK_PAYER_US
    recovery_calls: int = 32
    release_us: tuple[int, ...] = RELEASE_US["production"]
    lookalikes: Lookalikes = Lookalikes()
    labels: LabelBounds = LabelBounds()


def wait_s(lease_until: int, now: int, lease_us: int) -> int:
    """Whole seconds until work whose lease of `lease_us` ends at `lease_until` is worth asking for.

    1 while it has only begun; then the rest of its lease, after which somebody else takes it over.
    """
    rest_us = lease_until - now
    return 1 if rest_us > lease_us - SOON_US else max(1, ceil(rest_us / SECOND_US))


def seconds_left(moment: int) -> int:
    """Whole seconds until the UTC day of `moment` (microseconds) ends, one at least."""
    return (DAY_US - moment % DAY_US) // SECOND_US + 1


def policy_of(settings: GatewaySettings) -> Policy:
    """The policy of one gateway process.

    Raises `BadSetting` where its table of rates cannot be read, `SecretMissing` where the key of prints is
    missing.
    """
    return Policy(
        worker_id=new_id("wrk"),
        lease_us=int(settings.lease_s * SECOND_US),
        call_timeout_us=int(settings.call_timeout_s * SECOND_US),
        unknown_window_us=int(settings.unknown_window_s * SECOND_US),
        watch_us=WATCH_US[settings.profile],
        review_max_us=int(settings.review_max_s * SECOND_US),
        card_cap=settings.stand_in_card_cap,
        merchant_cap=settings.stand_in_merchant_cap,
        first_card_cap=settings.stand_in_first_card_cap,
        new_cards=settings.stand_in_new_cards,
        rates=EuroRates(settings.euro_rates),
        prints=open_prints(settings),
        recovery_calls=settings.recovery_calls,
        release_us=RELEASE_US[settings.profile],
        lookalikes=Lookalikes(
            overall=settings.lookalikes,
            per_account=settings.lookalikes_per_account,
            per_address=settings.lookalikes_per_address,
            are_shared=settings.profile == "local",
        ),
        labels=LabelBounds(
            per_source=settings.labels_per_source,
            per_merchant=settings.labels_per_merchant,
            source_burst=settings.label_burst_source,
            merchant_burst=settings.label_burst_merchant,
            hold_us=int(settings.label_hold_s * SECOND_US),
        ),
    )
