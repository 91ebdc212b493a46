"""The keys that tokens are signed with: files of the secret store, of which a newer one takes over while serving.

`gateway.pem` is the first. `gateway.<seconds>.pem` signs from that moment on (Unix time, by the wall clock:
clients keep our keys by theirs). Each gateway of one secret store finds a new file within `LOOK_EVERY_S` and
publishes its key at once, well before the first token by it; an old one is published until the last token by it
has expired (docs/decisions/0041).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import structlog
from joserfc.jwk import ECKey

from connectors.durable_files import write_durably
from connectors.keyfiles import read_or_make
from schemas.settings import Settings
from schemas.times import now_micros

ALGORITHM = "ES256"
CURVE = "P-256"
FIRST = "gateway.pem"
LATER = re.compile(r"gateway\.([1-9][0-9]{0,11})\.pem")
LEAD_S = 15 * 60  # clients that keep our keys for so long know a key before its first token
KEEP_S = 12 * 3600  # past the life of any token
LOOK_EVERY_S = 5.0

log = structlog.get_logger()


class SigningKey(msgspec.Struct, frozen=True):
    """A private key on P-256. `signs_from`: seconds since 1970, by the wall clock."""

    kid: str
    signs_from: int
    key: ECKey
    path: Path


class SigningKeys:
    """The keys of one secret store, as they stand there now. `changed` is called when one has gone."""

    def __init__(self, settings: Settings) -> None:
        """Read them; the local profile makes a first one. Raises `SecretMissing`, `ValueError`."""
        self._folder = settings.secrets()
        if not dict(_files(self._folder)):
            read_or_make(settings, FIRST, new_pem)
        self.changed: Callable[[], None] = lambda: None
        self._read = self._load_all({})

    def current(self) -> SigningKey:
        """The key to sign with: the newest whose time has come. Where somebody took that away, the next one."""
        keys, now = sorted(self._known(), key=_signs_from), _now_s()
        return next((key for key in reversed(keys) if key.signs_from <= now), keys[0])

    def published(self) -> list[SigningKey]:
        """The keys that clients must know: of what may still be good, of now, and the next ones."""
        keys, now = sorted(self._known(), key=_signs_from), _now_s()
        ends = [key.signs_from + KEEP_S for key in keys[1:]]  # each signs until the next one does
        return [key for key, end in zip(keys, [*ends, now + 1], strict=True) if end > now]

    def find(self, kid: object) -> ECKey | None:
        """The published key of that id."""
        return next((key.key for key in self.published() if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [key.key.as_dict(private=False) for key in self.published()]}

    def keep_up(self) -> None:
        """Look for keys that came or went, unless that was done a moment ago."""
        if monotonic() - self._looked_at > LOOK_EVERY_S:
            self._look()

    def _known(self) -> Iterable[SigningKey]:
        self.keep_up()
        return self._read.values()

    def _look(self) -> None:
        before = self._read
        try:
            self._read = self._load_all(before)
        except (OSError, ValueError) as error:  # what was good a moment ago still is
            log.warning("signing_keys.unreadable", error=type(error).__name__)
        if before.keys() - self._read.keys():
            self.changed()

    def _load_all(self, before: Mapping[Path, SigningKey]) -> dict[Path, SigningKey]:
        self._looked_at = monotonic()
        found = {path: before.get(path) or _load(path, since) for path, since in _files(self._folder)}
        if not found:
            raise FileNotFoundError(self._folder / FIRST)
        return found


def new_pem() -> bytes:
    """A new private key on P-256, as PEM."""
    return ECKey.generate_key(CURVE).as_pem(private=True)


def add_next(settings: Settings) -> SigningKey:
    """Put the next key into the secret store; it signs in `LEAD_S`. Raises `OSError`."""
    since = _now_s() + LEAD_S
    path = settings.secrets() / f"gateway.{since}.pem"
    write_durably(path, new_pem())
    return _load(path, since)


def remove_old(settings: Settings) -> list[Path]:
    """Delete the files of keys that are published no more; which. Raises `OSError`."""
    published = {key.path for key in SigningKeys(settings).published()}
    old = [path for path, _ in _files(settings.secrets()) if path not in published]
    for path in old:
        path.unlink()
    return old


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name == FIRST:
            yield path, 0
        elif found := LATER.fullmatch(path.name):
            yield path, int(found[1])


def _load(path: Path, since: int) -> SigningKey:
    key = ECKey.import_key(path.read_bytes())
    if key.curve_name != CURVE:
        raise ValueError(f"{path} is no key on {CURVE}")
    kid = key.thumbprint()
    named = ECKey.import_key(path.read_bytes(), {"kid": kid, "use": "sig", "alg": ALGORITHM})
    return SigningKey(kid, since, named, path)


def _signs_from(key: SigningKey) -> int:
    return key.signs_from


def _now_s() -> int:
    return now_micros() // 1_000_000
