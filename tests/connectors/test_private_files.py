"""A data directory is its owner's alone, whoever made it, and so is all that lies in it."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.private_files import keep_private
from schemas.settings import BadSetting
from sluice.child_process import LAUNCH

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """The rest of the run keeps its own."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(data: Path) -> list[str]:
    """What others may read, write or enter."""
    there = [data, *data.rglob("*")]
    return [path.name for path in there if not path.is_symlink() and path.stat().st_mode & 0o077]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with its files, open to everybody."""
    data = tmp_path / "data"
    for folder in (data, data / "secrets", data / "logs", data / "kafka" / "payments.v1-0"):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        (folder / "file").write_text("4111")
    (data / "link").symlink_to(tmp_path)
    return data


def test_one_that_is_open_is_closed_with_all_that_is_in_it(data: Path, tmp_path: Path) -> None:
    assert len(open_to_others(data)) == 9
    mode = tmp_path.stat().st_mode
    keep_private(data)
    assert open_to_others(data) == []
    assert tmp_path.stat().st_mode == mode  # a link leads elsewhere
    assert stat.S_IMODE((data / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secrets" / "file").stat().st_mode) == 0o600


def test_a_new_or_empty_one_is_made_private_and_what_is_written_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    (tmp_path / "begun" / "logs").mkdir(parents=True)
    for data in (tmp_path / "empty", tmp_path / "begun", tmp_path / "not" / "there"):
        keep_private(data)
        (data / "books").write_text("")
        subprocess.run([sys.executable, "-c", f"open({str(data / 'child')!r}, 'w')"], check=True)
        assert open_to_others(data) == []


def test_what_is_not_ours_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    foreign, shared = tmp_path / "home", tmp_path / "tmp"
    foreign.mkdir(mode=0o755)
    (foreign / "letter").write_text("")
    shared.mkdir()
    shared.chmod(0o1777)
    for data, mode in ((foreign, 0o755), (shared, 0o1777)):
        with pytest.raises(BadSetting, match=f"open to others .mode {mode:04o}. and holds other things"):
            keep_private(data)
        assert stat.S_IMODE(data.stat().st_mode) == mode


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_an_open_one_of_another_user_is_refused(data: Path) -> None:
    os.chown(data, 64_001, 64_001)
    with pytest.raises(BadSetting, match="belongs to uid 64001"):
        keep_private(data)


@pytest.mark.parametrize(
    "program",
    ["gateway", "gateway.vault", "connectors.sandbox", "connectors.sandbox.catcher", "sluice up --only vault"],
)
def test_each_process_says_in_a_line_that_it_does_not_start_in_such_a_one(
    program: str, tmp_path: Path, free_offset: Callable[[], int]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letter").write_text("")
    environment = os.environ | {"SLUICE_DATA": str(tmp_path), "SLUICE_PORT_OFFSET": str(free_offset())}
    command = [sys.executable, "-m", *program.split()]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "is open to others (mode 0755)" in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_what_is_launched_writes_for_its_user_alone(tmp_path: Path) -> None:
    """Kafka, for one, has no umask of its own."""
    command = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), sys.executable, "-c"]
    subprocess.run([*command, f"open({str(tmp_path / 'file')!r}, 'w')"], check=True)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
