"""Who may talk to the vault: which users, and of their processes those that know the client secret."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.vault import frames, proof
from gateway.vault.addresses import UnixAddress
from gateway.vault.client import Unproven, VaultAway, VaultClient
from tests.gateway.vault.conftest import ROOT, exchange

VAULT, GATEWAY, DASHBOARD = 64_001, 64_002, 64_003  # users that no system has
NUMBER = "4111111111111111"

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")

# What a process does before it becomes another user: it may read our sources then, wherever they are.
BECOME = """
import asyncio, os, sys
sys.path.insert(0, {root!r})
{imports}
os.setgroups([]); os.setgid({gid}); os.setuid({uid})
{script}
"""
SERVE = ("from gateway.vault.__main__ import main", "sys.exit(main())")
USE = (
    """
from gateway.vault.addresses import UnixAddress
from gateway.vault.client import VaultClient
from pathlib import Path
""",
    """
async def use():
    client = VaultClient([UnixAddress(Path(sys.argv[1]), frozenset({64001}))], sys.argv[2].encode())
    card_id = (await client.store("acc_a", "4111111111111111", 1, 2039)).card_id
    print((await client.open(card_id, "acc_a", sys.argv[3])).details.number[-4:])
    await client.close()
asyncio.run(use())
""",
)
ASK = (
    "import socket",
    """
peer = socket.socket(socket.AF_UNIX)
try:
    peer.connect(sys.argv[1])
except OSError as error:
    sys.exit(print(type(error).__name__))
try:
    peer.sendall(bytes.fromhex("0000000792a470696e6701"))  # a ping
    print("heard", peer.recv(100))
except OSError:  # it is hung up on already
    print("heard", b"")
""",
)
LISTEN = (
    "import socket",
    """
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen()
print("in", flush=True)
peer, _ = listener.accept()
print("heard", peer.recv(100), flush=True)
""",
)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own are private."""
    directory = Path(f"/tmp/sluice-test-{os.getpid()}-{time.monotonic_ns()}")
    directory.mkdir()
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def as_user(uid: int, program: tuple[str, str], *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Python that becomes another user before it runs the second half of `program`."""
    imports, script = program
    text = BECOME.format(root=str(ROOT), imports=imports, uid=uid, gid=uid, script=script)
    command, known = [sys.executable, "-c", text, *arguments], os.environ | environment
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=known)


@contextmanager
def running(
    uid: int, program: tuple[str, str], *arguments: str, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """One that is ended at the end."""
    with as_user(uid, program, *arguments, **environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def said(process: "subprocess.Popen[str]") -> list[str]:
    """The lines that a process printed before it ended."""
    return process.communicate(timeout=60)[0].splitlines()


@as_root
def test_a_vault_of_a_user_of_its_own_serves_the_gateways_user_and_refuses_the_dashboards(
    open_directory: Path,
) -> None:
    """Two things hold, each alone: modes of the socket and its directory, and what the kernel says of a peer."""
    data, run, secret = open_directory / "data", open_directory / "run", open_directory / "vault.client"
    for directory, gid, mode in ((data, VAULT, 0o700), (run, GATEWAY, 0o2750)):
        directory.mkdir()
        os.chown(directory, VAULT, gid)
        directory.chmod(mode)
    path = run / "vault.sock"
    secret.write_text("a secret")
    os.chown(secret, VAULT, VAULT)
    secret.chmod(0o600)
    given = {
        "SLUICE_DATA": str(data),
        "SLUICE_VAULT": str(path),
        "SLUICE_VAULT_CLIENT": str(secret),
        "SLUICE_VAULT_USERS": str(GATEWAY),
    }
    with running(VAULT, SERVE, **given) as vault:
        assert vault.stdout is not None
        assert '"vault.ready"' in vault.stdout.readline()
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (VAULT, GATEWAY, 0o660)
        assert said(as_user(GATEWAY, USE, str(path), "a secret", "op_1")) == ["1111"]
        assert said(as_user(DASHBOARD, ASK, str(path))) == ["PermissionError"]
        run.chmod(0o755)
        path.chmod(0o666)  # as if modes let everybody in
        assert said(as_user(DASHBOARD, ASK, str(path))) == ["heard b''"]
        assert said(as_user(GATEWAY, USE, str(path), "a secret", "op_2")) == ["1111"]
    entries = (data / "audit" / "audit.000000000001.jsonl").read_text()
    assert '"event":"peer.connect","result":"refused","pid":' in entries
    assert f'"uid":{DASHBOARD}' in entries


@as_root
async def test_the_gateway_says_nothing_to_a_socket_of_another_user(open_directory: Path) -> None:
    os.chmod(open_directory, 0o777)
    path = open_directory / "vault.sock"
    with running(DASHBOARD, LISTEN, str(path)) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "in\n"
        with pytest.raises(VaultAway):
            await VaultClient([UnixAddress(path)], b"secret").store("acc_a", NUMBER, 1, 2039)
        assert stranger.stdout.readline() == "heard b''\n"


async def test_a_process_of_our_own_user_that_does_not_know_the_secret_gets_nothing(
    vault: Any, client: Any, until: Any
) -> None:
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    for asked in (
        frames.OpenCard(1, card_id, "acc_a", "op_a", bytes(16)),
        frames.StoreCard(1, "acc_a", NUMBER, 1, 2039, None),
        frames.Digest(1, b"x"),
        frames.DeleteCard(1, card_id, "acc_a"),
        frames.Rotate(1),
        frames.CountCards(1),
    ):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(vault.socket))
            assert exchange(stranger, asked) == frames.Refused(1, "unproven")
            assert stranger.recv(100) == b""
    await until(lambda: [each.result for each in vault.audit("client.prove")] == ["unproven"] * 6)
    assert (await client.see(card_id, "acc_a")).number == NUMBER


async def test_another_secret_is_refused_by_either_side(
    vault: Any, new_client: Callable[..., VaultClient]
) -> None:
    with pytest.raises(Unproven):
        await new_client(vault, secret=b"another").ping()
    with socket.socket(socket.AF_UNIX) as stranger:  # one that does not ask for the vault's own proof
        stranger.connect(str(vault.socket))
        challenge = exchange(stranger, frames.Hello(1, bytes(32)))
        assert isinstance(challenge, frames.Challenge)
        answer = proof.of_client(b"another", bytes(32), challenge.nonce)
        assert exchange(stranger, frames.Prove(2, answer)) == frames.Refused(2, "unproven")


async def test_a_proof_that_was_recorded_or_sent_back_proves_nothing(vault: Any) -> None:
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.connect(str(vault.socket))
        second.connect(str(vault.socket))
        challenge = exchange(first, frames.Hello(1, bytes(32)))
        assert isinstance(challenge, frames.Challenge)
        right = proof.of_client(vault.secret, bytes(32), challenge.nonce)
        assert vault.secret not in frames.pack(challenge) + right
        assert exchange(first, frames.Prove(2, right)) == frames.Done(2)
        exchange(second, frames.Hello(1, bytes(32)))
        assert exchange(second, frames.Prove(2, right)) == frames.Refused(2, "unproven")
        assert exchange(first, frames.Prove(3, right)) == frames.Refused(3, "unproven")  # once for each challenge
    with socket.socket(socket.AF_UNIX) as third:
        third.connect(str(vault.socket))
        challenge = exchange(third, frames.Hello(1, bytes(32)))
        assert isinstance(challenge, frames.Challenge)
        assert exchange(third, frames.Prove(2, challenge.proof)) == frames.Refused(2, "unproven")
