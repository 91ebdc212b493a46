"""The terminal: lines in order, and nobody who waits for one that takes none."""

import subprocess
import sys

from tests.patience import PATIENCE_S

SAYS = """
import os
from sluice.terminal import Terminal

def fill_pipe():
    os.set_blocking(1, False)
    try:
        while os.write(1, bytes(1000)): pass
    except BlockingIOError:
        os.set_blocking(1, True)

terminal = Terminal()
"""


def run(body: str) -> tuple[int, str]:
    command = [sys.executable, "-c", SAYS + body]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.wait(PATIENCE_S)  # before anybody reads
        assert process.stdout
        return process.returncode, process.stdout.read()


def test_lines_are_printed_in_order_to_the_last() -> None:
    code, text = run("for n in range(1000): terminal.say(str(n))\nterminal.close()")
    assert code == 0
    assert [line.split()[-1] for line in text.splitlines()] == [str(n) for n in range(1000)]


def test_a_terminal_that_takes_nothing_holds_nobody_up() -> None:
    code, _ = run("""
fill_pipe()
for n in range(20_000): terminal.say("x" * 100)
terminal.close()
""")
    assert code == 0
