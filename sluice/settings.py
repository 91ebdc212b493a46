"""Settings of the `sluice` command, and what it hands on of its own environment."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from schemas.settings import Settings


class StackSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cache`: where the broker's jars are kept for every stack of this user.

    `kafka_heap_mb` bounds the broker's heap. `kafka_jit`: `full` is cheaper per record once warm, `c1` starts
    a second earlier. `start_patience` is how long (seconds) a process waits for those it comes after.
    """

    cache: Path = Path("~/.cache/sluice")
    kafka_heap_mb: int = 384
    kafka_jit: Literal["full", "c1"] = "full"
    start_patience: float = 60.0


class ReplaySettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`gateway`: the gateway's address (default: the local one); `seed_password`: of the seeded accounts."""

    gateway: str = ""
    seed_password: str = "sluice-demo-only"  # noqa: S105  # public by intent

    def gateway_url(self) -> str:
        """Where payments are sent."""
        return self.gateway or self.url("gateway")


class ShopperSettings(ReplaySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`shoppers`: how many customers the demo has; `shopper_rate`: purchases per second, all together."""

    shoppers: int = 24
    shopper_rate: float = 8.0


def environment(declared: Iterable[type[Settings]], data: Path) -> dict[str, str]:
    """What a process may know: the plain environment and the `SLUICE_…` variables its own settings declare.

    So no vault key and no processor's secret reaches a process that does not ask for it by name.
    """
    names = {name for kind in declared for name in variables(kind)}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_") or k in names}
    return kept | {"SLUICE_DATA": str(data), "PYTHONUNBUFFERED": "1"}


def variables(kind: type[Settings]) -> list[str]:
    """The variables of one settings class, in the order of its fields."""
    return [f"SLUICE_{field.encode_name.upper()}" for field in msgspec.structs.fields(kind)]
