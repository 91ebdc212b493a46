"""The demo from outside: every kind of payment happens, most go well, and Ctrl-C ends all of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from connectors.gateway import GatewayClient, PasswordLogin
from schemas.settings import Settings
from sluice import status
from tests.patience import until

READY_WITHIN_S = 240
SEEN_WITHIN_S = 240
STOPPED_WITHIN_S = 60  # the last is killed after 8 s; the rest is for a busy machine

JUDGED_MIN = 300  # payments that the fraud flow judged, before their shares say something
# The least and the most that a share of them may be. What is declined is so by issuers.
SHARES = {
    "captured": (0.82, 0.97),
    "declined": (0.01, 0.09),
    "blocked": (0.001, 0.08),
    "held": (0.0, 0.04),
    "flagged": (0.001, 0.12),
    "paypal": (0.02, 0.12),
}

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


async def latest(settings: Settings) -> list[dict[str, Any]]:
    login = PasswordLogin("admin@example.com", "sluice-demo-only")
    async with GatewayClient(settings.url("gateway"), login, retry_for_s=120) as admin:
        pages, cursor = [], ""
        for _ in range(10):
            page = await admin.get(f"/v1/payments?limit=100{cursor}")
            pages += page["data"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        return pages


def is_all_there(payments: list[dict[str, Any]]) -> bool:
    """Whether there is a payment of every kind that a tile shows."""
    states = Counter(payment["state"] for payment in payments)
    processors = Counter(payment.get("processor") for payment in payments if payment["state"] == "captured")
    outcomes = {payment["risk"]["outcome"] for payment in payments if "risk" in payment}
    currencies = {payment["currency"] for payment in payments}
    return (
        states.keys() >= {"captured", "declined", "voided"}
        and processors.keys() >= {"visa", "mastercard", "paypal"}
        and outcomes >= {"allow", "flag", "review"}
        and currencies >= {"EUR", "USD", "GBP", "JPY"}
        and any(payment["amount_refunded"] for payment in payments)
        and any(0 < payment["amount_captured"] < payment["amount"] for payment in payments)
    )


def shares(payments: list[dict[str, Any]]) -> dict[str, float]:
    """What became of those that the fraud flow judged in time."""
    judged = judged_of(payments)
    found = {
        "captured": [payment["state"] in ("captured", "partially_captured", "authorized") for payment in judged],
        "declined": [payment["state"] == "declined" and not _is_blocked(payment) for payment in judged],
        "blocked": [_is_blocked(payment) for payment in judged],
        "held": [payment["state"] == "in_review" for payment in judged],
        "flagged": [payment["risk"]["outcome"] == "flag" for payment in judged],
        "paypal": [payment["payment_method"]["type"] == "paypal" for payment in judged],
    }
    return {name: sum(which) / len(judged) for name, which in found.items()}


def judged_of(payments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [payment for payment in payments if payment.get("risk", {}).get("source") in ("rules", "model")]


def _is_blocked(payment: dict[str, Any]) -> bool:
    return bool(payment["risk"]["outcome"] == "block")


def test_the_demo_fills_every_tile_and_ctrl_c_ends_it(tmp_path: Path, free_offset: Callable[[], int]) -> None:
    settings = Settings(data=tmp_path / "data", port_offset=free_offset())
    known = os.environ | {
        "SLUICE_PORT_OFFSET": str(settings.port_offset),
        "SLUICE_KAFKA": "",
        "SLUICE_KAFKA_JIT": "c1",
        "SLUICE_VERDICT_BUDGET_MS": "1000",  # on a busy machine the stand-in would hold many
    }
    command = [sys.executable, "-m", "sluice", "demo", "--data", str(settings.data)]
    with (tmp_path / "out").open("w") as out, subprocess.Popen(command, env=known, stdout=out, stderr=out) as demo:
        try:
            until(lambda: demo.poll() is not None or _all_ready(settings), READY_WITHIN_S)
            assert demo.poll() is None, (tmp_path / "out").read_text()
            pids = [entry.pid for entry in status.read(settings)]
            until(lambda: is_all_there(asyncio.run(latest(settings))), SEEN_WITHIN_S)
            until(lambda: _a_shopper_is_told(settings), SEEN_WITHIN_S)
            until(lambda: _looks_like_a_shop(asyncio.run(latest(settings))), SEEN_WITHIN_S)
            assert {entry.restarts for entry in status.read(settings)} == {0}
            demo.send_signal(signal.SIGINT)
            assert demo.wait(STOPPED_WITHIN_S) == 0
            assert not [pid for pid in pids if pid and psutil.pid_exists(pid)]
        finally:
            demo.kill()


def _a_shopper_is_told(settings: Settings) -> bool:
    """As they confirmed their address."""
    with urlopen(f"{settings.url('catcher')}/messages", timeout=10) as answer:
        messages = json.load(answer)["data"]
    return any(m["to"].startswith("shopper-") and m["subject"].startswith("You paid") for m in messages)


def _looks_like_a_shop(payments: list[dict[str, Any]]) -> bool:
    """Thieves come by chance, and at first all cards are new: the shares settle while it goes on."""
    found = shares(payments) if len(judged_of(payments)) >= JUDGED_MIN else {}
    return bool(found) and all(least <= found[name] <= most for name, (least, most) in SHARES.items())


def _all_ready(settings: Settings) -> bool:
    return {entry.state for entry in status.read(settings)} == {"ready"}
