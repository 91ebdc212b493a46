"""Vault and gateway reject peers of another user, even where the mode of the socket file lets them connect."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.vault.client import VaultAway, VaultClient

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")

ASK = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
print("in", flush=True)
try:
    peer.sendall(bytes.fromhex(sys.argv[2]))
    print("heard", peer.recv(100))
except OSError as error:
    print("heard", b"")
"""
LISTEN = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen()
print("in", flush=True)
peer, _ = listener.accept()
print("heard", peer.recv(100), flush=True)
"""


@pytest.fixture
def open_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that every user may enter; pytest's own are private."""
    directory = Path(f"/tmp/sluice-test-{os.getpid()}-{time.monotonic_ns()}")
    directory.mkdir()
    directory.chmod(0o777)
    yield directory
    for each in directory.iterdir():
        each.unlink()
    directory.rmdir()


def as_nobody(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Python that becomes another user before it runs `script`."""
    become = f"import os, socket; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"
    command = [sys.executable, "-I", "-S", "-c", become + script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_the_vault_says_nothing_to_another_user(
    new_vault: Any, new_client: Callable[..., VaultClient], open_directory: Path
) -> None:
    path = open_directory / "vault.sock"
    vault = new_vault(SLUICE_VAULT=str(path)).start()
    path.chmod(0o666)  # as if the file let him in
    ping = "0000000792a470696e6701"
    with as_nobody(ASK, str(path), ping) as stranger:
        said = stranger.communicate(timeout=60)[0]
    assert said.split("\n")[:2] == ["in", "heard b''"]
    assert vault.audit("vault.peer_rejected")
    await new_client(path).ping()


async def test_the_gateway_says_nothing_to_a_socket_of_another_user(
    new_client: Callable[..., VaultClient], open_directory: Path
) -> None:
    path = open_directory / "vault.sock"
    with as_nobody(LISTEN, str(path)) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "in\n"
        with pytest.raises(VaultAway):
            await new_client(path).store("acc_a", "4111111111111111", 1, 2039)
        assert stranger.stdout.readline() == "heard b''\n"
