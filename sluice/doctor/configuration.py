"""Checks of settings, the data directory and secrets: all that is needed is there, and nobody else reads it."""

import importlib
import os
from collections.abc import Iterable
from pathlib import Path

from connectors.private_files import OTHERS
from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting, Settings, load
from sluice.doctor.diagnoses import Diagnosis, failed, ok, unknown
from sluice.init import SECRETS
from sluice.processes import settings_classes, stack
from sluice.settings import StackSettings


def settings_of_processes(settings: StackSettings) -> list[Diagnosis]:
    """Whether each process takes its settings."""
    kinds = {kind for process in stack(settings) for kind in settings_classes(process)}
    found = [_refused(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)]
    told = dict.fromkeys(says for says in found if says)  # the same of each process once
    return [failed("settings", says, "Correct it; .env.example tells what it takes.") for says in told] or [
        ok("settings", f"profile {settings.profile}")
    ]


def data_directory(data: Path) -> list[Diagnosis]:
    """Whether the data directory is ours alone."""
    if not data.exists():
        return [unknown("data", f"{data} is not there yet: the first start makes it")]
    found = data.stat()
    if found.st_uid != os.getuid():
        return [failed("data", f"{data} belongs to uid {found.st_uid}", f"Run as that user, or `chown` {data}.")]
    if found.st_mode & OTHERS:
        return [failed("data", f"others may read {data}", f"chmod 700 {data}")]
    if not os.access(data, os.W_OK):
        return [failed("data", f"{data} cannot be written", "Mount it writable.")]
    return [ok("data", str(data))]


def secrets(settings: StackSettings) -> list[Diagnosis]:
    """Whether the secrets that this profile does not make by itself are there, and all are their owner's alone."""
    try:
        vault = load(VaultSettings)
    except BadSetting as error:
        return [failed("secrets", str(error), "Correct it.")]
    folder, keys = settings.secrets(), vault.vault_keys or settings.secrets()
    return [*_missing(settings, folder, keys), *_open_to_others({folder, keys})] or [ok("secrets", str(folder))]


def _missing(settings: Settings, folder: Path, keys: Path) -> list[Diagnosis]:
    if settings.profile == "local":
        return []  # made at their first use
    absent = [name for name in SECRETS if not (folder / name).is_file()]
    found = [failed("secrets", f"{folder / name} is missing", _how_to_make(name)) for name in absent]
    if not (keys / "vault.hmac").is_file() or not list(keys.glob("vault.kek.*")):
        says = f"{keys} lacks vault.hmac or vault.kek.<n>"
        found.append(failed("secrets", says, "Put them back from your copy: without them no card opens."))
    return found


def _how_to_make(name: str) -> str:
    if name in ("gateway.key", "prints.key"):
        return "Put it back from your copy: a new one makes keyed hashes and the audit's chain other ones."
    if name == "gateway.pem":
        return "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    return "openssl rand -hex 32, mode 0600"


def _open_to_others(folders: Iterable[Path]) -> list[Diagnosis]:
    """Files of ours that others may read; a secret store that another user keeps has its own rules."""
    files = [path for folder in sorted(folders) if folder.is_dir() for path in (folder, *sorted(folder.iterdir()))]
    ours = [path for path in files if path.stat().st_uid == os.getuid() and path.stat().st_mode & OTHERS]
    return [failed("secrets", f"others may read {path}", f"chmod go= {path}") for path in ours]


def _refused(kind: type[Settings]) -> str:
    try:
        load(kind)
    except BadSetting as error:
        return str(error)
    return ""


def modules() -> list[Diagnosis]:
    """Whether what is compiled loads on this machine: DuckDB, librdkafka, cryptography."""
    found = []
    for name in ("duckdb", "confluent_kafka", "cryptography.hazmat.bindings._rust", "bytewax", "asyncpg"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            found.append(failed("modules", f"{name}: {error}", "Run `make install` on this machine."))
    return found or [ok("modules", "all load")]
