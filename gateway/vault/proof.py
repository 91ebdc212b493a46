"""The client secret: gateway and vault prove to each other that they know it, on each new connection.

The secret never travels. Each proof covers a nonce of either side, so one that was recorded proves nothing on
another connection; the two sides prove different texts, so neither's proof can be sent back as one's own. The
vault proves first: no card number goes to whoever sits on its socket.

While it is rotated either side takes the secret before, of now and to come. What was proved by one holds for as
long as its connection.
"""

import hmac
from pathlib import Path
from secrets import token_hex

from connectors.secret_files import SecretFile, secret_file
from schemas.settings import Settings

SECRET_FILE = "vault.client"  # noqa: S105 (a file's name)

ClientSecret = bytes | SecretFile


def client_secret(settings: Settings, given: Path | None) -> SecretFile:
    """The secret in the file `given` (SLUICE_VAULT_CLIENT), or else in the directory of secrets.

    Raises `SecretMissing`, also where the file is empty: an empty key would let everybody prove it.
    """
    secret = SecretFile(given) if given else secret_file(settings, SECRET_FILE, lambda: token_hex(32).encode())
    secret.text()
    return secret


def shown(secret: ClientSecret) -> bytes:
    """The secret that the vault proves. Raises `SecretMissing`."""
    return secret if isinstance(secret, bytes) else secret.text().encode()


def proved_to(secret: ClientSecret, vaults_proof: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes | None:
    """Which of the client's secrets the vault has proved; None where it is none of them."""
    nonces = (client_nonce, vault_nonce)
    return next((key for key in _known(secret) if hmac.compare_digest(vaults_proof, of_vault(key, *nonces))), None)


def is_of_client(secret: ClientSecret, clients_proof: bytes, client_nonce: bytes, vault_nonce: bytes) -> bool:
    """Whether a client has proved one of the secrets that count now."""
    nonces = (client_nonce, vault_nonce)
    return any(hmac.compare_digest(clients_proof, of_client(key, *nonces)) for key in _known(secret))


def of_vault(secret: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes:
    """What the vault answers a client's nonce, 32 bytes."""
    return _proof(secret, b"vault", client_nonce, vault_nonce)


def of_client(secret: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes:
    """What a client answers the vault's nonce, 32 bytes."""
    return _proof(secret, b"client", client_nonce, vault_nonce)


def _known(secret: ClientSecret) -> list[bytes]:
    return [secret] if isinstance(secret, bytes) else [text.encode() for text in secret.accepted()]


def _proof(secret: bytes, side: bytes, client_nonce: bytes, vault_nonce: bytes) -> bytes:
    return hmac.digest(secret, b"sluice vault 1 " + side + client_nonce + vault_nonce, "sha256")
