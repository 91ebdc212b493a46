"""What a vault knows of itself beside the witness: whose cards it has, and up to which term it took part.

`vault.standing` in its data directory. No backup has it: what was restored may be old, and must neither serve nor
take over as if it were not, until an operator says so by `sluice vault begin`.
"""

from pathlib import Path
from secrets import token_bytes

import msgspec

from connectors.durable_files import write_durably
from gateway.vault.witness import WitnessRow
from schemas.ids import letters

FILE = "vault.standing"


class NotInPlace(Exception):
    """The witness and this vault's own files contradict each other: it neither serves nor stands by."""


class Standing(msgspec.Struct, frozen=True):
    """`store_id` is the same for all copies of the same cards; empty: none is here. `term` 0: half a copy.

    `vault`: under which name it took part.
    """

    store_id: str = ""
    term: int = 0
    vault: str = ""


def standing_of(data: Path) -> Standing:
    """What a data directory says. Raises `NotInPlace` where the file is damaged."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=Standing)
    except FileNotFoundError:
        return Standing()
    except (OSError, ValueError) as error:
        raise NotInPlace(f"{data / FILE}: {error}") from None


def check_alone(data: Path) -> None:
    """Raises `NotInPlace` where a vault that knows of no other one would write past it."""
    if (data / FILE).exists():
        raise NotInPlace(f"{data} is that of one of two vaults: set SLUICE_VAULT_WITNESS, or remove {FILE}")


def keep_standing(data: Path, standing: Standing) -> None:
    """Write it, on disk on return. Raises `OSError`."""
    write_durably(data / FILE, msgspec.json.encode(standing))


def first_row(data: Path, name: str, found: WitnessRow | None) -> WitnessRow:
    """What `sluice vault begin` has the witness say: the vault `name` serves, and nobody stands by."""
    own = standing_of(data)
    term = max(own.term, found.term if found else 0) + 1
    return WitnessRow(own.store_id or "store_" + letters(token_bytes(8)), name, "", "", term)


def check_standing(data: Path, name: str, found: WitnessRow | None, has_cards: bool) -> Standing:
    """What this vault is, held against the witness. Raises `NotInPlace`, and tells what to do."""
    own = standing_of(data)
    if found is None:
        raise NotInPlace("the witness is empty: `sluice vault begin` on the host of the vault that has the cards")
    if own.vault not in ("", name):
        raise NotInPlace(f"{data} is that of `{own.vault}`, and SLUICE_VAULT_NAME says `{name}`")
    if own.term > found.term:
        raise NotInPlace(f"the witness was set back to term {found.term}, this vault knows {own.term}")
    if own.store_id not in ("", found.store_id) or (has_cards and not own.store_id):
        raise NotInPlace(f"{data} holds other cards than those of {found.store_id}: nothing of it is overwritten")
    if name == found.serving and (own.store_id != found.store_id or not own.term):
        raise NotInPlace(f"{data} holds no cards of {found.store_id}, which `{name}` is to serve")
    return own
