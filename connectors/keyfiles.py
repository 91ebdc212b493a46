"""Secrets as files, mode 0600 in a directory of mode 0700, generated on first use in the local profile only."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from connectors.durable_files import sync
from schemas.settings import BadSetting, Settings


class SecretMissing(Exception):
    """A secret does not exist, and the profile does not generate any."""


@contextmanager
def refusals_logged() -> Iterator[None]:
    """End a flow that a setting or a missing secret keeps from starting: one line in its log, and exit code 1."""
    try:
        yield
    except (BadSetting, SecretMissing) as refusal:
        structlog.get_logger().error("flow.refused", reason=str(refusal))
        sys.exit(1)


def read_or_make(settings: Settings, name: str, make: Callable[[], bytes]) -> bytes:
    """The secret `name` of the data directory; two processes that generate it at once read the same one.

    Raises `SecretMissing` where it does not exist and the profile is not local: an operator has to supply it.
    """
    path = settings.secrets() / name
    if not path.exists():
        if settings.profile != "local":
            raise SecretMissing(f"{path} does not exist, and keys are generated in the local profile only")
        _write_once(path, make())
    return path.read_bytes()


def _write_once(path: Path, secret: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # mkstemp: mode 0600
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)  # fails where another process was first: its secret is used
        except FileExistsError:
            return
    sync(path.parent)  # what it encrypts may be on disk soon
