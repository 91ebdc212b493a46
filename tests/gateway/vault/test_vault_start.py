"""How the vault starts: with private files, memory and socket; and when it refuses to."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.vault import isolation
from gateway.vault.client import VaultClient
from gateway.vault.isolation import PATH_MAX, RUNTIME, UnsafeDirectory, make_directory, socket_path
from schemas.settings import BadSetting

ROOT = Path(__file__).parents[3]

Clients = Callable[..., VaultClient]


def test_files_and_memory_are_its_own(vault: Any) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in vault.data.rglob("*")}
    assert modes.pop("secrets") == modes.pop("audit") == 0o700
    assert set(modes.values()) == {0o600}
    assert {"vault.sock", "vault.sqlite3", "vault.kek.1", "vault.hmac"} <= modes.keys()
    assert stat.S_IMODE(vault.data.stat().st_mode) == 0o700
    limits = Path(f"/proc/{vault.process.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


def test_a_locked_down_process_dumps_no_memory_and_leaves_no_file_to_others(tmp_path: Path) -> None:
    """PR_GET_DUMPABLE (3) says 0, too: then /proc and ptrace are closed to other processes of the same user."""
    script = (
        "import ctypes, resource; from gateway.vault.isolation import keep_memory_private; keep_memory_private();"
        "open('file', 'w').close(); print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    run = [sys.executable, "-c", script]
    said = subprocess.check_output(run, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, text=True)
    assert said.strip() == "0 (0, 0)"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


async def test_a_second_vault_on_the_same_data_is_refused(vault: Any, new_vault: Any, client: VaultClient) -> None:
    second = new_vault(vault.data)
    assert second.launch().wait(60) == 1
    assert "another vault" in second.said("vault.refused")[0]["reason"]
    await client.ping()  # the first one still has its socket


async def test_a_vault_that_lost_the_keys_of_persons_does_not_begin_them_anew(
    new_vault: Any, new_client: Clients, tmp_path: Path
) -> None:
    """A copy of the books and cards is put back, and that of the keys forgotten: nobody could log in any more."""
    vault = new_vault().start()
    keys = await new_client(vault).person_keys(["acc_1"], make=True)
    vault.stop()
    file, copy = vault.data / "persons.sqlite3", tmp_path / "persons.sqlite3"
    file.rename(copy)
    lost = new_vault(vault.data)
    assert lost.launch().wait(60) == 1
    assert "persons.sqlite3 is missing" in lost.said("vault.refused")[0]["reason"]
    assert not file.exists()
    copy.rename(file)
    assert await new_client(new_vault(vault.data).start()).person_keys(["acc_1"]) == keys


async def test_production_starts_with_keys_from_elsewhere_only(
    new_vault: Any, new_client: Clients, tmp_path: Path
) -> None:
    local = new_vault().start()
    local.stop()
    production = new_vault(local.data, SLUICE_PROFILE="production")
    assert production.launch().wait(60) == 1
    assert "SLUICE_VAULT_KEYS" in production.said("vault.refused")[0]["reason"]
    keys = tmp_path / "keys"
    (local.data / "secrets").rename(keys)
    production = {"SLUICE_PROFILE": "production", "SLUICE_VAULT_KEYS": str(keys)}
    given = new_vault(local.data, **production, SLUICE_VAULT_CLIENT=str(keys / "vault.client")).start()
    await new_client(given, (keys / "vault.client").read_bytes()).ping()
    assert not (given.data / "secrets").exists()


async def test_a_data_directory_of_any_length_has_a_socket(
    new_vault: Any, new_client: Clients, tmp_path: Path
) -> None:
    long = new_vault(tmp_path / ("long" * 30) / "data").start()
    try:
        assert len(os.fsencode(long.data / "vault.sock")) > PATH_MAX
        assert len(os.fsencode(long.socket)) <= PATH_MAX
        assert stat.S_IMODE(long.socket.parent.stat().st_mode) == 0o700
        await new_client(long).ping()
    finally:
        long.socket.unlink()


def test_the_short_path_is_one_per_data_directory_and_user(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 30)
    paths = {socket_path(long / "a"), socket_path(long / "b"), socket_path(long / "a")}
    assert len(paths) == 2
    assert {path.parent for path in paths} == {RUNTIME / f"sluice-{os.getuid()}"}


def test_a_given_path_that_is_too_long_is_said_so(tmp_path: Path) -> None:
    exact = tmp_path / ("x" * (PATH_MAX - len(os.fsencode(tmp_path)) - 1))
    assert socket_path(Path("data"), exact) == exact
    with pytest.raises(BadSetting, match="107 bytes"):
        socket_path(Path("data"), Path(f"{exact}x"))


def test_a_relative_data_directory_means_the_same_socket_to_everyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert socket_path(Path("data")) == socket_path(tmp_path / "data") == tmp_path / "data" / "vault.sock"


@pytest.mark.parametrize("made_by", ["others", "us, but open", "a link"])
def test_a_runtime_directory_that_is_not_ours_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_by: str
) -> None:
    monkeypatch.setattr(isolation, "RUNTIME", tmp_path)
    directory = tmp_path / f"sluice-{os.getuid()}"
    if made_by == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "theirs")
    else:
        directory.mkdir(mode=0o700)
    if made_by == "us, but open":
        directory.chmod(0o701)
    if made_by == "others":
        if os.getuid() != 0:
            pytest.skip("only root can give a directory away")
        os.chown(directory, os.getuid() + 1, -1)
    with pytest.raises(UnsafeDirectory):
        make_directory(directory / "vault.sock")


async def test_a_bad_setting_is_named(new_vault: Any) -> None:
    vault = new_vault(SLUICE_PROFILE="staging")
    assert vault.launch().wait(60) == 1
    assert "SLUICE_PROFILE" in vault.said("vault.refused")[0]["reason"]
