"""What keeps the vault apart from every other process: its socket, its peers, its lock, its memory."""

import ctypes
import fcntl
import hashlib
import os
import resource
import socket
import struct
from pathlib import Path

from schemas.settings import BadSetting

PATH_MAX = 107  # bytes: sun_path of Linux's sockaddr_un without its closing zero
RUNTIME = Path("/tmp")  # noqa: S108  (`make_directory` refuses a directory that another user made there)
PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
PR_SET_DUMPABLE = 4  # <linux/prctl.h>


class UnsafeDirectory(Exception):
    """Another user made, or can enter, the directory in which the vault would listen."""


class AlreadyRunning(Exception):
    """Another vault has locked this data directory."""


def socket_path(data: Path, given: Path | None = None) -> Path:
    """The socket of the vault of `data`: `given`, else `<data>/vault.sock`, else a shorter path below `RUNTIME`.

    Every process with the same data directory finds the same path. Raises `BadSetting`.
    """
    wanted = (given or data / "vault.sock").absolute()
    if len(os.fsencode(wanted)) <= PATH_MAX:
        return wanted
    if given:
        raise BadSetting(f"SLUICE_VAULT is longer than {PATH_MAX} bytes, the limit of a socket's path")
    name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    return _runtime_directory() / f"vault-{name}.sock"


def make_directory(path: Path) -> None:
    """Make the directory of the socket at `path` for its owner alone (0700). Raises `UnsafeDirectory`.

    Anybody could have made the one below `/tmp` first, so it is checked. A directory that an operator chose is
    not: the socket has mode 0600, and both ends check their peer.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.lstat()
    if path.parent == _runtime_directory() and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise UnsafeDirectory(f"{path.parent} is not a directory of uid {os.getuid()} alone (mode 0700)")


def bind(path: Path) -> socket.socket:
    """A listening socket with mode 0600 at `path`; replaces the one that a killed vault left there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)  # a chmod after bind would leave a moment in which others may connect
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(before)
    return listener


def trusted_peer(connection: socket.socket) -> int | None:
    """The pid of the peer if it runs as our user or as root; None for any other user."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    pid, uid, _gid = PEER_CREDENTIALS.unpack(credentials)
    return pid if uid in {os.getuid(), 0} else None


def take_lock(path: Path) -> int:
    """Lock the data directory until this process ends, by kill -9 too. Raises `AlreadyRunning`."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise AlreadyRunning(f"another vault holds {path}") from None
    return file


def keep_memory_private() -> None:
    """Forbid core dumps, reads of our memory through /proc and ptrace, and files that others may read.

    The gateway calls this too: card numbers pass through it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    os.umask(0o077)


def _runtime_directory() -> Path:
    return RUNTIME / f"sluice-{os.getuid()}"
