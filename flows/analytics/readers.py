"""Who asks: a process of this machine, by a token of its secret store, or a person, by an SQL token."""

import threading
from collections.abc import Mapping
from typing import Protocol

from connectors.secret_files import Secret, is_secret
from connectors.sql_tokens import FORM, SqlTokensAway
from schemas.accounts import SqlReader

# Each check holds a thread of Quack, of which there are 128, for as long as the gateway is silent.
CHECKS_AT_ONCE = 32


class PersonsTokens(Protocol):
    """Says whose a token is, as `SqlTokens` does."""

    def check(self, token: str) -> SqlReader | None:
        """None: nobody's any more. Raises `SqlTokensAway` where that cannot be known now."""
        ...


class Readers:
    """The readers of a warehouse, by their tokens. Any number of threads may use it."""

    def __init__(self, local: Mapping[str, Secret], persons: PersonsTokens | None = None) -> None:
        """`local`: tokens of this machine, by name; they see everything."""
        self._local = local
        self._persons = persons
        self._checks = threading.BoundedSemaphore(CHECKS_AT_ONCE)

    def identify(self, token: str) -> SqlReader | None:
        """Whose token it is, and what they see now; None for nobody's.

        Raises `SqlTokensAway` for a person's while the gateway cannot be asked; local ones do not wait for it.
        """
        if self._persons is None or not FORM.fullmatch(token):
            return next(
                (SqlReader(name, name, "all") for name, known in self._local.items() if is_secret(known, token)),
                None,
            )
        if not self._checks.acquire(blocking=False):
            raise SqlTokensAway
        try:
            return self._persons.check(token)
        finally:
            self._checks.release()


def is_person(reader: SqlReader) -> bool:
    """Whether it is somebody's, and no process of this machine."""
    return reader.token_id != reader.account_id
