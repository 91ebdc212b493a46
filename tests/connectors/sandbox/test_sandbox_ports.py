"""Ports of the sandbox that another program has: told in one line, and opened once they are free."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.settings import PORTS
from tests.conftest import unused_offset
from tests.connectors.sandbox.conftest import Eventually
from tests.connectors.sandbox.process import SandboxProcess
from tests.connectors.sandbox.test_sandbox_faults import refuses
from tests.connectors.sandbox.wires import Control, Visa


@contextlib.contextmanager
def another_program_at(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


async def test_a_closed_port_that_another_program_took_is_told_and_opens_when_it_is_free(
    eventually: Eventually, control: Control, sandbox: SandboxProcess, visa: Visa, reference: str
) -> None:
    port = sandbox.port("visa")
    await control.fault(processor="visa", fault="refuse")
    await control.fault(processor="paypal", fault="refuse")
    with another_program_at(port):
        told = await control.cleared()
        assert (told.status, told["code"]) == (409, "port_in_use")
        assert str(port) in told["detail"]
        assert not await refuses(sandbox.port("paypal"))  # the others are open
        await control.fault(processor="visa", fault="refuse", seconds=0.01)
        assert '"event":"port.taken"' in (sandbox.data / "log").read_text()

    async def open_again() -> bool:
        return not await refuses(port)

    await eventually(open_again)
    assert (await visa.pay(reference)).status == 201


def test_a_sandbox_whose_port_is_taken_says_so_in_one_line_and_ends(tmp_path: Path) -> None:
    offset = unused_offset()
    known = os.environ | {"SLUICE_DATA": str(tmp_path), "SLUICE_PORT_OFFSET": str(offset)}
    for module, name in (("connectors.sandbox", "mastercard"), ("connectors.sandbox.catcher", "smtp")):
        with another_program_at(PORTS[name] + offset):
            ran = subprocess.run(
                [sys.executable, "-m", module], env=known, capture_output=True, text=True, timeout=60
            )
        assert ran.returncode == 1
        (line,) = (ran.stdout + ran.stderr).splitlines()
        assert '.refused"' in line
        assert str(PORTS[name] + offset) in line
