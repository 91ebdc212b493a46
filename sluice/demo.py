"""`sluice demo`: the whole stack on one machine, with demo accounts and shoppers that keep paying."""

import sys
from pathlib import Path

import click

from schemas.settings import load
from sluice import probes
from sluice.processes import Process
from sluice.settings import ShopperSettings, StackSettings
from sluice.up import run, stack_settings

ACCOUNTS = ("customer", "merchant", "analyst", "admin")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="The data directory (SLUICE_DATA, default ./data).")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Purchases per second (SLUICE_SHOPPER_RATE, default 8).",
)
def demo(data: Path | None, rate: float | None) -> None:
    """Start the stack with shoppers that keep paying; Ctrl-C stops all of it."""
    settings = stack_settings(data)
    run(settings, seed=True, extra=[shoppers(settings, rate)], greeting=_logins())


def shoppers(settings: StackSettings, rate: float | None) -> Process:
    """The process that pays, once the gateway takes payments."""
    return Process(
        name="shoppers",
        command=[sys.executable, "-m", "sluice.shoppers"],
        probe=probes.heartbeat(settings, "shoppers"),
        settings=("sluice.settings",),
        needs=("gateway",),
        given={} if rate is None else {"SLUICE_SHOPPER_RATE": str(rate)},
    )


def _logins() -> str:
    password = load(ShopperSettings).seed_password
    lines = [f"          {name}@example.com" for name in ACCOUNTS]
    return "\n".join([f"log in with the password {password} as", *lines])
