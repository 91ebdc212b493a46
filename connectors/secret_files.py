"""Secrets in files that are replaced while processes run: whoever uses one reads it at that moment.

`NAME` is the secret. While it is rotated, `NAME.next` beside it is the one to come, and `NAME.old.<seconds>` the
one before, good until then (Unix time, by the wall clock). Who shows a secret shows `NAME`; who checks one takes
any of the three (docs/decisions/0103).
"""

import hmac
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from connectors.durable_files import sync, write_durably
from connectors.keyfiles import SecretMissing, read_or_make
from schemas.settings import Settings
from schemas.times import now_micros

NEXT = ".next"
OLD = re.compile(r"\.old\.([1-9][0-9]{0,11})")

log = structlog.get_logger()


class SecretFile:
    """A secret as its file has it now, one line of text. Threads may share it.

    `default`: what counts where there is no file, or an empty one. What was read once stays where the file cannot
    be read, or is empty because somebody writes it in place; that is logged once, until it is read again.
    """

    def __init__(self, path: Path, default: str = "") -> None:
        self.path = path
        self._known = default
        self._was_read = False

    def __repr__(self) -> str:
        return f"SecretFile({self.path})"

    def text(self) -> str:
        """The secret to show. Raises `SecretMissing` where there is none and never was."""
        found = _text(self.path)
        if self._was_read and not found:
            log.warning("secret.unreadable", file=str(self.path))
        self._known, self._was_read = found or self._known, bool(found)
        if not self._known:
            raise SecretMissing(f"{self.path} does not exist, is empty, or is no text")
        return self._known

    def tried(self) -> list[str]:
        """What to show in turn to who takes only one: the secret, and the one to come. Raises as `text`."""
        return [self.text(), *filter(None, [_text(next_of(self.path))])]

    def accepted(self) -> list[str]:
        """What counts where a secret is checked: the present one, the one to come, those of before."""
        old = [_text(path) for path, until in _old_of(self.path) if until > _now_s()]
        return [*self.tried(), *filter(None, old)]

    def accepts(self, given: str) -> bool:
        """Whether `given` is one of those that count. Raises as `text`."""
        return any(hmac.compare_digest(known.encode(), given.encode()) for known in self.accepted())


Secret = str | SecretFile  # one that stays as it is, or one that is read when it is used


def text_of(secret: Secret) -> str:
    """The secret to show now. Raises `SecretMissing`."""
    return secret if isinstance(secret, str) else secret.text()


def is_secret(secret: Secret, given: str) -> bool:
    """Whether `given` is this secret, or counts as it while it is rotated. Raises `SecretMissing`."""
    if isinstance(secret, str):
        return hmac.compare_digest(secret.encode(), given.encode())
    return secret.accepts(given)


def secret_file(settings: Settings, name: str, make: Callable[[], bytes]) -> SecretFile:
    """The secret `name` of the secret store. Raises `SecretMissing` as `read_or_make` does, or if it is empty."""
    read_or_make(settings, name, make)
    found = SecretFile(settings.secrets() / name)
    found.text()
    return found


def next_of(path: Path) -> Path:
    """The file of the one to come."""
    return path.with_name(path.name + NEXT)


def put_next(path: Path, secret: str) -> None:
    """Have the one to come beside the present one. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(next_of(path), secret.encode())


def take_next(path: Path, overlap_s: int = 0) -> None:
    """Put the one to come in the place of the present one, which counts for `overlap_s` more. Raises `OSError`.

    Files of before whose time has passed are deleted.
    """
    for old, until in list(_old_of(path)):
        if until <= _now_s():
            old.unlink(missing_ok=True)
    if overlap_s and path.exists():
        os.link(path, path.with_name(f"{path.name}.old.{_now_s() + overlap_s}"))
    next_of(path).replace(path)
    sync(path.parent)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _old_of(path: Path) -> Iterator[tuple[Path, int]]:
    for found in path.parent.glob(f"{path.name}.old.*"):
        if told := OLD.fullmatch(found.name.removeprefix(path.name)):
            yield found, int(told[1])


def _now_s() -> int:
    return now_micros() // 1_000_000
