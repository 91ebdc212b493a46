"""The client secret: gateway and vault prove to each other that they know it, on each new connection.

The secret never travels. Each proof covers a nonce of either side, so one that was recorded proves nothing on
another connection; the two sides prove different texts, so neither's proof can be sent back as one's own. The
vault proves first: no card number goes to whoever sits on its socket.
"""

import hmac
from pathlib import Path
from secrets import token_hex

from connectors.keyfiles import SecretMissing, read_or_make
from schemas.settings import Settings

SECRET_FILE = "vault.client"  # noqa: S105 (a file's name)


def client_secret(settings: Settings, given: Path | None) -> bytes:
    """The secret in the file `given` (SLUICE_VAULT_CLIENT), or else in the directory of secrets.

    Raises `SecretMissing`, as `read_or_make` does, and where the file is empty.
    """
    try:
        found = (
            given.read_bytes() if given else read_or_make(settings, SECRET_FILE, lambda: token_hex(32).encode())
        )
    except OSError as error:
        raise SecretMissing(f"{given or SECRET_FILE}: {error.strerror}") from None
    if not found.strip():  # an empty key would let everybody prove it
        raise SecretMissing(f"{given or SECRET_FILE} is empty")
    return found.strip()


def of_vault(secret: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes:
    """What the vault answers a client's nonce, 32 bytes."""
    return _proof(secret, b"vault", client_nonce, vault_nonce)


def of_client(secret: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes:
    """What a client answers the vault's nonce, 32 bytes."""
    return _proof(secret, b"client", client_nonce, vault_nonce)


def _proof(secret: bytes, side: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes:
    return hmac.digest(secret, b"sluice vault 1 " + side + client_nonce + vault_nonce, "sha256")
