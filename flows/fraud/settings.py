"""Settings of the fraud flow."""

from schemas.settings import Settings

KEYS_MAX = 262_144


class FraudSettings(Settings, frozen=True, kw_only=True):
    """`fraud_min_labels`: with fewer labels learned the model cannot go beyond `allow`; rules decide.

    `fraud_keys_max`: how many instruments, and as many customers, addresses, BINs and merchants, are kept; of what
    is worth least, the least recently used are evicted.
    """

    fraud_min_labels: int = 500
    fraud_keys_max: int = KEYS_MAX
