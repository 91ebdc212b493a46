"""The gateway's settings: one `SLUICE_…` variable each, read once at start."""

from pathlib import Path

import msgspec

from gateway.return_urls import is_loopback, origin
from schemas.settings import BadSetting, Settings

SEED_PASSWORD = "sluice-demo-only"  # noqa: S105  # public by intent; refused outside the local profile
UNKNOWN_WINDOW_S = {"local": 5.0, "production": 60.0}


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """What the gateway needs beyond what every process knows. Amounts in minor units, times in seconds.

    `public_url` is what clients and processors reach us by (default: our own port on localhost).
    `proxies`: addresses and networks, separated by commas, whose X-Forwarded-For says who calls.
    `vault` is the path of the vault's Unix socket (default: the one the vault opens for this data directory).
    `stand_in_…_cap` bound what may pass unjudged, per currency and UTC day.
    """

    public_url: str = ""
    proxies: str = ""
    database_url: str = ""
    vault: Path | None = None
    seed: bool = False
    seed_password: str = SEED_PASSWORD
    lease_s: float = msgspec.field(default=15.0, name="lease")
    call_timeout_s: float = msgspec.field(default=10.0, name="call_timeout")
    unknown_window_s: float = msgspec.field(default=0.0, name="unknown_window")
    verdict_budget_ms: int = 250
    stand_in_card_cap: int = 50_000
    stand_in_merchant_cap: int = 2_000_000

    def __post_init__(self) -> None:
        """Fill in what depends on the profile. Raises `BadSetting` for what contradicts it."""
        if self.seed and self.profile != "local":
            raise BadSetting("SLUICE_SEED: demo accounts are made in the local profile only")
        if self.lease_s <= self.call_timeout_s:
            raise BadSetting("SLUICE_LEASE must be longer than SLUICE_CALL_TIMEOUT")
        self.books_path()
        if not self.unknown_window_s:
            msgspec.structs.force_setattr(self, "unknown_window_s", UNKNOWN_WINDOW_S[self.profile])
        if not self.public_url:
            msgspec.structs.force_setattr(self, "public_url", self.url("gateway"))
        msgspec.structs.force_setattr(self, "public_url", self.public_url.rstrip("/"))
        if not (origin(self.public_url) or "").startswith("https:") and not is_loopback(self.public_url):
            raise BadSetting("SLUICE_PUBLIC_URL must be https, or http on this machine: tokens travel to it")

    def books_path(self) -> Path:
        """The SQLite file of the books. Raises `BadSetting` for a database we cannot use yet."""
        if not self.database_url:
            return self.data / "books.sqlite3"
        scheme, _, path = self.database_url.partition("://")
        if scheme != "sqlite" or not path.startswith("/"):
            raise BadSetting("SLUICE_DATABASE_URL: only sqlite:///path works so far")
        return Path(path[1:])
