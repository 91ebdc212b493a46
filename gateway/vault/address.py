"""Where the vault's socket is, and who may be at its other end."""

import hashlib
import os
import socket
import struct
from pathlib import Path

from schemas.settings import BadSetting

PATH_MAX = 107  # bytes: sun_path of Linux's sockaddr_un without its closing zero
RUNTIME = Path("/tmp")  # noqa: S108  (`make_directory` refuses what somebody else put there)

UCRED = struct.Struct("3i")


class Exposed(Exception):
    """Somebody else made the directory in which the vault would listen."""


def socket_path(data: Path, given: Path | None = None) -> Path:
    """The socket of the vault of `data`: `given`, else `<data>/vault.sock`, else a short path of its own.

    Every process that is told the same data directory finds the same path. Raises `BadSetting`.
    """
    wanted = (given or data / "vault.sock").absolute()
    if len(os.fsencode(wanted)) <= PATH_MAX:
        return wanted
    if given:
        raise BadSetting(f"SLUICE_VAULT is longer than {PATH_MAX} bytes, the limit of a socket's path")
    name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    return _runtime_directory() / f"vault-{name}.sock"


def make_directory(path: Path) -> None:
    """Make the socket's directory for its owner alone (0700). Raises `Exposed`.

    Anybody can make the one below `/tmp` before us. Others are their owner's business: the socket has mode 0600,
    and both ends look who the other is.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.lstat()
    if path.parent == _runtime_directory() and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise Exposed(f"{path.parent} is not a directory of uid {os.getuid()} alone (mode 0700)")


def bind(path: Path) -> socket.socket:
    """A listening socket with mode 0600 at `path`, in place of what a killed vault left there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(before)
    return listener


def trusted_peer(connection: socket.socket) -> int | None:
    """The pid at the other end where it runs as us or as root; None where it is somebody else."""
    pid, uid, _gid = UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    return pid if uid in {os.getuid(), 0} else None


def _runtime_directory() -> Path:
    return RUNTIME / f"sluice-{os.getuid()}"
