"""The README's lines from login to payment, run by a plain shell."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.stack import Stack

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("curl"), reason="the README's lines are for curl"),
]


def test_the_first_payment_is_taken_and_sent_again_is_the_same(stack: Stack) -> None:
    (lines,) = [block for block in BLOCK.findall(README.read_text()) if "/payments" in block]
    here = lines.replace("http://localhost:8080", stack.settings.url("gateway"))
    first, again = (_said(here) for _ in range(2))
    assert (json.loads(first)["status"], json.loads(first)["amount"]) == ("succeeded", 1999)
    assert again == first


def _said(lines: str) -> str:
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(["sh", "-c", lines], env=environment, stdout=subprocess.PIPE, text=True).stdout
