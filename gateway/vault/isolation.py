"""What keeps the vault apart from every other process: its socket, its peers, its lock, its memory."""

import ctypes
import fcntl
import hashlib
import os
import resource
import socket
import struct
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from schemas.settings import BadSetting

PATH_MAX = 107  # bytes: sun_path of Linux's sockaddr_un without its closing zero
RUNTIME = Path("/tmp")  # noqa: S108  (`make_directory` refuses a directory that another user made there)
PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
PR_SET_DUMPABLE = 4  # <linux/prctl.h>


class Peer(NamedTuple):
    """The process at the other end of a connection. The kernel says it, as of the moment of its connect.

    From another host it is whom its `certificate` names, `gateway:NAME` or `vault:NAME`; it has neither id then.
    """

    pid: int | None
    uid: int | None
    certificate: str | None = None

    def is_trusted(self, users: Collection[int]) -> bool:
        """Whether it runs as our user, as root, or as one of `users` (uids), or has a certificate of the house."""
        return self.certificate is not None or self.uid in {os.getuid(), 0} or self.uid in users

    def may_copy(self) -> bool:
        """Whether it may be a vault that keeps a copy: our own user, root, or who has a vault's certificate."""
        return self.uid in {os.getuid(), 0} or (self.certificate or "").startswith("vault:")


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


def bind(path: Path, *, shared: bool = False) -> socket.socket:
    """A listening socket at `path`; replaces the one that a killed vault left there.

    Its mode is 0600, or 0660 where it is `shared` with another user: by the group of a directory of mode 2750.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # A chmod after bind would leave a moment in which others may connect.
    before = os.umask(0o117 if shared else 0o177)
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(before)
    return listener


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end of a Unix socket (SO_PEERCRED, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    pid, uid, _gid = PEER_CREDENTIALS.unpack(credentials)
    return Peer(pid, uid)


def users_of(given: str) -> frozenset[int]:
    """The uids of SLUICE_VAULT_USERS, separated by commas. Raises `BadSetting`."""
    try:
        return frozenset(int(uid) for uid in given.split(",") if uid.strip())
    except ValueError:
        raise BadSetting("SLUICE_VAULT_USERS: uids separated by commas, such as 10001,10002") from None


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
