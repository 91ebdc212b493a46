"""The broker's jars: locked by SHA-256, fetched once into a cache for every stack of a user."""

import hashlib
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click
import msgspec

LOCK = Path(__file__).with_name("kafka.lock.toml")
CONNECTIONS = 8


class JarsUnavailable(click.ClickException):
    """A jar is not in the cache and cannot be fetched, or its SHA-256 is not the locked one."""


class Jar(msgspec.Struct, frozen=True):
    """One locked jar by its Maven coordinates."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file name, in the cache as in the repository."""
        return f"{self.artifact}-{self.version}.jar"


Progress = Callable[[int, int], None]


def locked() -> list[Jar]:
    """The jars of the committed lock."""
    return msgspec.convert(tomllib.loads(LOCK.read_text())["jars"], list[Jar])


def class_path(cache: Path) -> list[Path]:
    """The paths of the locked jars in the cache."""
    return [cache.expanduser() / "jars" / jar.file for jar in locked()]


def provide(cache: Path, progress: Progress, jars: list[Jar] | None = None) -> None:
    """Fetch what the cache lacks of the locked jars; `progress(done, of)` is called after each.

    Each file is compared with the lock on every call; a truncated or altered one is fetched again.
    Raises `JarsUnavailable`.
    """
    directory = cache.expanduser() / "jars"
    missing = [jar for jar in jars or locked() if not is_whole(directory / jar.file, jar)]
    if missing:
        directory.mkdir(parents=True, exist_ok=True)
        _fetch_all(directory, missing, progress)


def is_whole(path: Path, jar: Jar) -> bool:
    """Whether a file is there, and is the jar that is locked."""
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _fetch_all(directory: Path, missing: list[Jar], progress: Progress) -> None:
    progress(0, len(missing))
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as staging:
        pool = ThreadPoolExecutor(CONNECTIONS)
        try:
            fetches = [pool.submit(_fetch, directory, Path(staging), jar) for jar in missing]
            for done, fetch in enumerate(as_completed(fetches), 1):
                fetch.result()
                progress(done, len(missing))
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(directory: Path, staging: Path, jar: Jar) -> None:
    # jgo writes straight to the file's final name, so a cut connection would leave half a jar behind: it
    # writes into a directory that is thrown away, and only a whole jar moves to its place.
    came = _download(staging, jar)
    if not is_whole(came, jar):
        raise JarsUnavailable(f"{jar.file} is not the jar that {LOCK.name} locks (SHA-256 differs)")
    came.replace(directory / jar.file)


def _download(staging: Path, jar: Jar) -> Path:
    # Imported here: jgo takes 0.3 s to import and is needed for the first start only.
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException

    context = MavenContext(repo_cache=staging, resolver=PythonResolver(), timeout=30)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    try:
        return Path(artifact.resolve())
    except (RequestException, RuntimeError) as error:
        raise JarsUnavailable(
            f"cannot fetch {jar.file} ({type(error).__name__}): the first start needs the network"
        ) from error
