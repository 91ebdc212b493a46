"""What the vault reads from its environment."""

from pathlib import Path

from schemas.settings import Settings


class VaultSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`vault`: path of the Unix socket, else one in the data directory (`isolation.socket_path`).

    `vault_keys`: the directory whose key files an operator provides; nothing is ever written there. Unset, keys
    lie in the data directory and are generated: local profile only (PCI DSS 3.6.1.2: keys apart from the data).
    """

    vault: Path | None = None
    vault_keys: Path | None = None
