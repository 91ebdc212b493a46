"""The consumers of `examples/` on a stack's own topics: they end with what its warehouse says."""

import json
import subprocess
import sys
import tempfile
from typing import Any

import msgspec

from connectors.warehouse import WarehouseReader
from sluice.settings import StackSettings

FIGURES = """
SELECT merchant, currency, count(*)::BIGINT, sum(amount_captured)::BIGINT, sum(amount_refunded)::BIGINT
FROM payments GROUP BY ALL ORDER BY ALL
"""
NAMES = ("merchant", "currency", "count", "captured", "refunded")
PROGRAMS = {
    "python": [sys.executable, "examples/python/outcomes.py", "--database"],
    "javascript": ["node", "examples/javascript/outcomes.mjs", "--journal"],
}
STARTS = {"payments.v1": [], "payments.latest.v1": ["--from-latest"]}


class ConsumerFigures(msgspec.Struct, frozen=True):
    """What one program came to. `payments`: how many it counted; `equal`: whether all is as in the warehouse."""

    program: str
    start: str
    payments: int
    equal: bool


def agreement(settings: StackSettings) -> list[ConsumerFigures]:
    """Run each program from either topic. Raises `WarehouseError`, `CalledProcessError`."""
    asked = WarehouseReader(settings, "sql").query(FIGURES).rows
    wanted = [dict(zip(NAMES, row, strict=True)) for row in asked]
    return [
        _compared(program, start, _figures(settings.bootstrap(), [*PROGRAMS[program]], STARTS[start]), wanted)
        for program in PROGRAMS
        for start in STARTS
    ]


def _figures(bootstrap: str, command: list[str], more: list[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        whole = [*command, f"{folder}/kept", "--bootstrap", bootstrap, "--until-end", *more]
        done = subprocess.run(whole, check=True, stdout=subprocess.PIPE, timeout=120)
        figures: list[dict[str, Any]] = json.loads(done.stdout)
        return figures


def _compared(
    program: str, start: str, found: list[dict[str, Any]], wanted: list[dict[str, Any]]
) -> ConsumerFigures:
    return ConsumerFigures(program, start, sum(row["count"] for row in found), found == wanted)
