"""What stands for a card number towards one reader, made from the vault's own fingerprint of it.

BIN and last four digits leave 100,000 numbers. Whoever may tokenize learns from one print for everybody which of
them somebody else's card has; so each reader and purpose has a key of its own, and the vault's fingerprint leaves
vault and books nowhere. The keys are derived from `secrets/prints.key` and never change: what was published would.
"""

import hmac
from secrets import token_bytes

from connectors.keyfiles import read_or_make
from gateway.keyed_hashes import keyed_hash
from schemas.ids import letters
from schemas.settings import Settings

KEY_BYTES = 32
PRINT_BYTES = 16  # 128 bits


class Prints:
    """Makes prints in microseconds, without asking the vault. Those of two purposes can never be compared."""

    def __init__(self, root: bytes) -> None:
        self._card_key = keyed_hash(root, "card", size=KEY_BYTES)
        self._payment_key = keyed_hash(root, "payment", size=KEY_BYTES)
        self._instrument_key = keyed_hash(root, "instrument", size=KEY_BYTES)
        self._try_key = keyed_hash(root, "try", size=KEY_BYTES)

    def of_card(self, owner_id: str, fingerprint: str) -> str:
        """The `fingerprint` of a number that its owner sees, on the card and on own payments."""
        return "fp_" + _made(self._card_key, owner_id, fingerprint)

    def of_payment(self, merchant_id: str, fingerprint: str) -> str:
        """The `fingerprint` that a merchant sees on payments of others: nothing it can tokenize answers it."""
        return "fp_" + _made(self._payment_key, merchant_id, fingerprint)

    def instrument(self, fingerprint: str) -> str:
        """What staff, topics and fraud features know a number by; no route answers it for a number one sends."""
        return "ins_" + _made(self._instrument_key, "", fingerprint)

    def of_try(self, whose: str, number: str) -> str:
        """What counts as one where numbers are counted: an account's number, an address. Shown to nobody."""
        return _made(self._try_key, whose, number)


def open_prints(settings: Settings) -> Prints:
    """The prints of a data directory. Raises `SecretMissing` where production lacks the key."""
    return Prints(read_or_make(settings, "prints.key", lambda: token_bytes(KEY_BYTES)))


def _made(key: bytes, reader: str, value: str) -> str:
    """No id holds the NUL between the two, so no other reader and value are written the same."""
    return letters(hmac.digest(key, f"{reader}\0{value}".encode(), "sha256")[:PRINT_BYTES])
