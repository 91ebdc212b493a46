"""The settings of the vault's process."""

from pathlib import Path
from urllib.parse import urlsplit

from gateway.vault.addresses import TLS
from gateway.vault.frames import PERSONS_MAX
from gateway.vault.isolation import socket_path
from schemas.settings import BadSetting, Settings, named_file


class VaultSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`vault`: the path of the Unix socket; unset, the one that `isolation.socket_path` finds. A gateway beside it
    may have vaults there to ask (`asks_others`).

    `vault_listen`: `host:port` for other hosts, over TLS; empty: none. `vault_certificates`: the directory of
    `ca.pem`, `own.pem` and `own.key`. `vault_witness`: the row that says which of two vaults serves,
    `sqlite:///path` or `postgresql://…` (with a password by SLUICE_VAULT_WITNESS_FILE); empty: there is one vault.
    `vault_name`: what this one is called there.
    `vault_other`: where the other one is reached, as in SLUICE_VAULT of the gateway.

    `vault_keys`: the directory of the key files that an operator provides; nothing is written there. Unset, keys
    are generated in the data directory, in the local profile only (PCI DSS 3.6.1.2: keys apart from the data).
    `vault_client`: the file of the secret that a client has to know (default: `vault.client` among the secrets).
    `vault_users`: uids that may connect beside the vault's own, separated by commas.
    `vault_opens_per_s`, `vault_person_keys_per_s`: how many cards may be opened, and persons' keys be read, in a
    second. `vault_audit_days`: how long the audit is kept (PCI DSS 10.5.1: 12 months at least).
    """

    vault: str = ""
    vault_listen: str = ""
    vault_certificates: Path | None = None
    vault_witness: str = ""
    vault_name: str = "vault"
    vault_other: str = ""
    vault_keys: Path | None = None
    vault_client: Path | None = None
    vault_users: str = ""
    vault_opens_per_s: float = 1000.0
    vault_person_keys_per_s: float = 5000.0
    vault_audit_days: float = 400.0

    def __post_init__(self) -> None:
        """Raises `BadSetting`."""
        if self.vault_opens_per_s < 1:
            raise BadSetting("SLUICE_VAULT_OPENS_PER_S must be 1 at least")
        if self.vault_person_keys_per_s < PERSONS_MAX:  # a call for that many would never be granted
            raise BadSetting(f"SLUICE_VAULT_PERSON_KEYS_PER_S must be {PERSONS_MAX} at least")
        if bool(self.vault_witness) != bool(self.vault_other):
            raise BadSetting(
                "SLUICE_VAULT_WITNESS and SLUICE_VAULT_OTHER: two vaults need both, one vault neither"
            )
        if self.vault_listen and self.vault_certificates is None:
            raise BadSetting("SLUICE_VAULT_LISTEN needs SLUICE_VAULT_CERTIFICATES")
        if not self.vault_name:
            raise BadSetting("SLUICE_VAULT_NAME must not be empty")
        if self.profile != "local" and self.vault_audit_days < 365:
            raise BadSetting("SLUICE_VAULT_AUDIT_DAYS must be 365 at least (PCI DSS 10.5.1)")

    def asks_others(self) -> bool:
        """Whether SLUICE_VAULT is a gateway's: several vaults, or of other hosts, not a vault's own socket."""
        return "," in self.vault or self.vault.startswith(TLS)

    def socket(self) -> Path:
        """Where the vault of this data directory listens. Raises `BadSetting`."""
        return socket_path(self.data, Path(self.vault) if self.vault and not self.asks_others() else None)

    def check_production(self) -> None:
        """What the witness is asked over a network goes by TLS; its password stands in no environment."""
        Settings.check_production(self)
        self.check_database("SLUICE_VAULT_WITNESS", self.vault_witness)
        if urlsplit(self.vault_witness).password and named_file("SLUICE_VAULT_WITNESS") is None:
            raise BadSetting(
                "SLUICE_VAULT_WITNESS: production takes a password by SLUICE_VAULT_WITNESS_FILE alone"
            )
