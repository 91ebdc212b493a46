"""What a new password may be: long enough, and none that guessers try first. All of it is known here, offline.

NIST SP 800-63B-4 §3.1.1.2 and OWASP ASVS 5.0 V6.2: a minimum length, no rules of composition, no expiry, and a
list of what is commonly used, expected or compromised. Ours has the commonest passwords, with what people put
before and after them to make them longer, people's own name and address, the site's name, and rows of keys or
letters.
"""

import re
from unicodedata import normalize

from gateway.identity.common_passwords import is_common, plain
from gateway.refusals import FieldError, InvalidFields

LENGTH_MIN, LENGTH_MAX = 12, 128  # characters; the longest costs as much to hash as the shortest
SITE = "sluice"
OWN_WORD = re.compile(r"[^\W_]{4,}")  # shorter ones stand in too many words
AFFIX_MAX = 6  # characters that make no common password a good one: `password` and a year, `dragon` and 123456
FEWEST_SIGNS = 5
ROWS = ("abcdefghijklmnopqrstuvwxyz", "12345678901", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")
STEPS = frozenset(row[i : i + 2] for line in ROWS for row in (line, line[::-1]) for i in range(len(line) - 1))
PREDICTABLE = 0.7  # of the steps from one sign to the next; of English sentences it is a fifth

NOT_SO_LONG = f"{LENGTH_MIN} to {LENGTH_MAX} characters."
COMMON = "One of the passwords that guessers try first, or little more than that."
OWN = "A part of the e-mail address, the name or ours stands in it."
PATTERN = "It repeats itself, or follows the keyboard or the alphabet."


def normal(password: str) -> str:
    """The password as it is hashed: NFKC, so that every keyboard and system writes the same one (§3.1.1.2)."""
    return normalize("NFKC", password)


def check_new(password: str, path: str, *, email: str | None, name: str) -> None:
    """Raises `InvalidFields` at `path` for a password that nobody may choose, or not who has these details."""
    if message := why_refused(normal(password), email or "", name):
        raise InvalidFields(FieldError(path, message))


def why_refused(password: str, email: str, name: str) -> str | None:
    """Why a normal password is refused; None where it is not. It tells nothing of the password."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return NOT_SO_LONG
    if _is_pattern(password.casefold()):
        return PATTERN
    if any(is_common(each) for each in _cores(password)):
        return COMMON
    own = [SITE, *OWN_WORD.findall(f"{email.rpartition('@')[0]} {name}")]
    return OWN if any(plain(word) in plain(password) for word in own) else None


def _is_pattern(text: str) -> bool:
    """Whether few signs, a short part again and again, or neighbours in a row make it up."""
    is_again = any(
        text == (text[:size] * len(text))[: len(text)] for size in range(1, LENGTH_MIN) if size * 2 <= len(text)
    )
    steps = [text[i : i + 2] for i in range(len(text) - 1)]
    predictable = sum(step in STEPS or step[0] == step[1] for step in steps)
    return is_again or len(set(text)) < FEWEST_SIGNS or predictable >= PREDICTABLE * len(steps)


def _cores(password: str) -> set[str]:
    """A password, and what is left of it without what is no letter at either end."""
    first = next((i for i, sign in enumerate(password) if sign.isalpha()), 0)
    last = next((i for i, sign in enumerate(password[::-1]) if sign.isalpha()), 0)
    ends = [(0, 0), (first, 0), (0, last), (first, last)]
    return {password[start : len(password) - end] for start, end in ends if start + end <= AFFIX_MAX}
