"""Settings of the fraud flow."""

from typing import Annotated

import msgspec

from schemas.settings import FRAUD_WORKERS_MAX, Settings

KEYS_MAX = 262_144


class FraudSettings(Settings, frozen=True, kw_only=True):
    """`fraud_min_labels`: with fewer labels learned the model cannot go beyond `allow`; rules decide.

    `fraud_keys_max`: how many instruments, and as many customers, addresses, BINs and merchants, are kept; of what
    is worth least, the least recently used are evicted. `fraud_workers`: how many share the flow, in all its
    processes. `fraud_process`: the number of this one of them, from 1; its heartbeats bear it.
    """

    fraud_min_labels: int = 500
    fraud_keys_max: int = KEYS_MAX
    fraud_workers: Annotated[int, msgspec.Meta(ge=1, le=FRAUD_WORKERS_MAX)] = 1
    fraud_process: Annotated[int, msgspec.Meta(ge=1, le=FRAUD_WORKERS_MAX)] = 1
