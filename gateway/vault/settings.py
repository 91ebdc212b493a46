"""The settings of the vault's process."""

from pathlib import Path

from schemas.settings import Settings


class VaultSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`vault`: the path of the Unix socket; unset, the one that `isolation.socket_path` finds.

    `vault_keys`: the directory of the key files that an operator provides; nothing is written there. Unset, keys
    are generated in the data directory, in the local profile only (PCI DSS 3.6.1.2: keys apart from the data).
    """

    vault: Path | None = None
    vault_keys: Path | None = None
