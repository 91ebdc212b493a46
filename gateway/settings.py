"""The gateway's settings: one `SLUICE_…` variable each, read once at start."""

import socket
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from gateway.return_urls import is_loopback, origin
from schemas.settings import BadSetting, Settings, checked_networks

SEED_PASSWORD = "sluice-demo-only"  # noqa: S105  # public by intent; refused outside the local profile
PASSWORD_IN = "password_file"  # noqa: S105 (a parameter of ours in a database's URL)
PASSWORD_FILE = "database.password"  # noqa: S105 (the name of a file)
UNKNOWN_WINDOW_S = {"local": 5.0, "production": 60.0}


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """What the gateway needs beyond what every process knows. Amounts in minor units, times in seconds.

    `public_url` is what clients and processors reach us by (default: our own port on localhost), `internal_url`
    what servers beside us do (default: the same), `dashboard_url` what browsers reach the dashboards by
    (default: their port on localhost). `gateway_port` is what it listens on, where that is not the first
    gateway's of this machine; `worker` is what this gateway is called among those on its books, and no other one
    (default: its host and port). `proxies`: addresses and networks, separated by commas, whose X-Forwarded-For
    says who calls. `recovery_calls`: how many operations recovery asks one processor for at a time. `vault`: where
    the vault is, or the two vaults are: paths of Unix sockets (default: the one of this data directory) and
    `tls://host:port`, separated by commas; `vault_certificates`: the directory of `ca.pem`, `own.pem` and
    `own.key` for the latter. `vault_client` is the file of the secret that it asks for, `vault_users` the uids it
    may run as beside ours. `review_max_s`: how long a payment may wait for a reviewer before its issuer is asked;
    then it is voided. `stand_in_…_cap` bound what may pass unjudged per UTC day, in euro cents; the first card's
    is that of a card or payer that never paid; `stand_in_new_cards` bounds the payments by such cards of one
    customer. `euro_rates`: a table of rates in the European Central Bank's format (default: the one that was the
    newest when this release was made). `lookalikes…`: how many distinct numbers that share BIN and last four
    digits are tokenized a day, over all accounts, for one of them and for one address. `labels_per_…`: how many
    labels a day are taken of a source and of a merchant; beyond `label_burst_…` that say otherwise than the score,
    further ones wait for a person or `label_hold_s`.
    """

    public_url: str = ""
    internal_url: str = ""
    dashboard_url: str = ""
    proxies: str = ""
    database_url: str = ""
    vault: str = ""
    vault_certificates: Path | None = None
    vault_client: Path | None = None
    vault_users: str = ""
    seed: bool = False
    seed_password: str = SEED_PASSWORD
    gateway_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    worker: str = ""
    lease_s: float = msgspec.field(default=15.0, name="lease")
    call_timeout_s: float = msgspec.field(default=10.0, name="call_timeout")
    unknown_window_s: float = msgspec.field(default=0.0, name="unknown_window")
    recovery_calls: int = 32
    verdict_budget_ms: int = 250
    review_max_s: float = msgspec.field(default=72 * 3600.0, name="review_max")
    stand_in_card_cap: int = 50_000
    stand_in_merchant_cap: int = 2_000_000
    stand_in_first_card_cap: int = 5_000
    stand_in_new_cards: int = 3
    euro_rates: Path | None = None
    lookalikes: int = 50
    lookalikes_per_account: int = 10
    lookalikes_per_address: int = 10
    labels_per_source: int = 200_000
    labels_per_merchant: int = 5_000
    label_burst_source: int = 100
    label_burst_merchant: int = 25
    label_hold_s: float = msgspec.field(default=24 * 3600.0, name="label_hold")

    def __post_init__(self) -> None:
        """Fill in what depends on the profile. Raises `BadSetting` for what contradicts it."""
        if self.seed and self.profile != "local":
            raise BadSetting("SLUICE_SEED: demo accounts are made in the local profile only")
        if self.recovery_calls < 1:
            raise BadSetting("SLUICE_RECOVERY_CALLS must be 1 at least")
        if min(self.lookalikes, self.lookalikes_per_account, self.lookalikes_per_address) < 1:
            raise BadSetting("SLUICE_LOOKALIKES… must be 1 at least: nobody could add a card")
        if self.lease_s <= self.call_timeout_s:
            raise BadSetting("SLUICE_LEASE must be longer than SLUICE_CALL_TIMEOUT")
        checked_networks("SLUICE_PROXIES", self.proxies)
        self.metrics_networks()
        self.books_url()
        if not self.unknown_window_s:
            msgspec.structs.force_setattr(self, "unknown_window_s", UNKNOWN_WINDOW_S[self.profile])
        self._fill_address("public_url", "gateway")
        self._fill_address("dashboard_url", "dashboard")
        msgspec.structs.force_setattr(self, "internal_url", (self.internal_url or self.public_url).rstrip("/"))

    def check_production(self) -> None:
        """See `Settings`: people reach it by https, and the way to its database is closed to others."""
        Settings.check_production(self)
        if not self.is_https():
            raise BadSetting(
                "SLUICE_PUBLIC_URL must be set in production, and https: people reach the gateway by it"
            )
        self.check_way("SLUICE_INTERNAL_URL", self.internal_url)
        self.check_database("SLUICE_DATABASE_URL", self.database_url)

    def _fill_address(self, name: str, port: str) -> None:
        given = (getattr(self, name) or self.url(port)).rstrip("/")
        if not (origin(given) or "").startswith("https:") and not is_loopback(given):
            raise BadSetting(f"SLUICE_{name.upper()} must be https, or http on this machine: tokens travel to it")
        msgspec.structs.force_setattr(self, name, given)

    def is_https(self) -> bool:
        """Whether browsers reach us by https alone: then their cookies are for nothing else."""
        return self.public_url.startswith("https:")

    def worker_name(self) -> str:
        """What this gateway is called among those on its books, also after a restart."""
        return self.worker or f"{socket.gethostname()}:{self.own_port()}"

    def own_port(self) -> int:
        """The port that it listens on."""
        return self.gateway_port or self.port("gateway")

    def books_url(self) -> str:
        """The books: `sqlite:///path` or `postgresql://…`. Raises `BadSetting` for what is neither.

        A password that the URL does not have is read from `secrets/database.password`, if that is there: the URL
        then names the file (`password_file`), which each new connection reads.
        """
        url = self.database_url or f"sqlite:///{self.data / 'books.sqlite3'}"
        scheme, _, rest = url.partition("://")
        if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
            return url
        if scheme not in ("postgres", "postgresql") or not rest:
            raise BadSetting("SLUICE_DATABASE_URL: sqlite:///path or postgresql://user@host/database")
        return _with_password(f"postgresql://{rest}", self.secrets() / PASSWORD_FILE)


def _with_password(url: str, file: Path) -> str:
    at = urlsplit(url)
    if at.password or not at.username or not file.exists():
        return url
    named = f"{PASSWORD_IN}={quote(str(file.absolute()), safe='/')}"
    return urlunsplit(at._replace(query="&".join(filter(None, [at.query, named]))))
