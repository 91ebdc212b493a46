"""What was asked at the prompt, in a file of its owner's alone; never a card number (PCI DSS 3.5.1)."""

import os
import stat
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from schemas.cards import find_numbers


class PrivateHistory(FileHistory):
    """The statements of this prompt and those before it. None with a card number."""

    def append_string(self, string: str) -> None:
        """Keep a statement, if no card number is in it."""
        if not find_numbers(string):
            super().append_string(string)


def open_history(path: Path) -> History:
    """The history in a file of mode 0600; one that is forgotten at the end, where that cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    except OSError:
        return InMemoryHistory()
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return InMemoryHistory()
        os.fchmod(file, 0o600)
    finally:
        os.close(file)
    return PrivateHistory(str(path))
