"""The locked jars: fetched once, only what is missing, and only if it is what was locked."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sluice.jars import Jar, JarsUnavailable, locked, provide
from sluice.jars import class_path as paths

SMALL = "slf4j-simple"

# What a machine without network looks like to the resolver's HTTP client.
NO_NETWORK = {"HTTPS_PROXY": "http://localhost:1", "HTTP_PROXY": "http://localhost:1", "NO_PROXY": ""}

PROVIDE = """
import sys
from pathlib import Path
from sluice.jars import JarsUnavailable, provide
try:
    provide(Path(sys.argv[1]), lambda done, of: print(done, of))
except JarsUnavailable as error:
    sys.exit(str(error))
"""


@pytest.fixture
def cache(class_path: list[Path], tmp_path: Path) -> Path:
    """A cache of one's own with every jar in it."""
    directory = tmp_path / "cache" / "jars"
    directory.mkdir(parents=True)
    for jar in class_path:
        (directory / jar.name).hardlink_to(jar) if _same_disk(jar, directory) else shutil.copy(jar, directory)
    return tmp_path / "cache"


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def small() -> Jar:
    return next(jar for jar in locked() if jar.artifact == SMALL)


def without_network(cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROVIDE, str(cache)], env=NO_NETWORK, capture_output=True, text=True, check=False
    )


def test_versions_of_the_lock() -> None:
    jars = locked()
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert {jar.version for jar in jars if jar.group == "org.slf4j"} == {"1.7.36"}
    assert len({jar.file for jar in jars}) == len(jars) == 46


def test_nothing_is_fetched_the_second_time(cache: Path) -> None:
    ran = without_network(cache)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_without_network_it_says_so_in_one_line(tmp_path: Path) -> None:
    ran = without_network(tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "the first start needs the network" in ran.stderr


def test_after_an_interruption_only_the_missing_jars_are_fetched(cache: Path) -> None:
    torn = cache / "jars" / small().file
    half = torn.read_bytes()[:1000]
    torn.unlink()
    torn.write_bytes(half)
    heard: list[tuple[int, int]] = []
    provide(cache, lambda done, of: heard.append((done, of)))
    assert heard == [(0, 1), (1, 1)]
    assert all(path.exists() for path in paths(cache))
    assert not [path for path in torn.parent.iterdir() if path.is_dir()]  # no staging left behind


def test_another_jar_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    other = msgspec.structs.replace(small(), sha256="0" * 64)
    with pytest.raises(JarsUnavailable, match="SHA-256 differs"):
        provide(tmp_path, lambda _done, _of: None, [other])
    assert not (tmp_path / "jars" / other.file).exists()
