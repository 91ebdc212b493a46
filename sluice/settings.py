"""Settings of the `sluice` command, and the environments of the processes that it starts."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from schemas.settings import FRAUD_WORKERS_MAX, BadSetting, Settings


class StackSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cache`: the directory of the broker's jars, shared by every stack of this user.

    `kafka_replication` and `kafka_min_isr`: replication factor and `min.insync.replicas` of the topics made on
    another cluster (-1 and 0: its own).
    `kafka_heap_mb` bounds the broker's heap. `kafka_jit`: `full` is cheaper per record once warm, `c1` starts
    a second earlier. `kafka_advertised` is the name by which other machines reach the broker. `kafka_nodes`: those
    names of all brokers (with commas, the same order at each) where it is one of several.
    `gateways` is how many run on this machine, each on a port of its own; several need PostgreSQL.
    `fraud_workers`: how many processes share the fraud flow. `fraud_addresses`: where they meet (`host:port`, with
    commas, in their order) if not on this machine. `vaults`: 2 starts another vault that stands by, on a data
    directory of its own.
    `start_patience` is how long (seconds) a process waits for those it comes after.
    """

    cache: Path = Path("~/.cache/sluice")
    kafka_replication: Annotated[int, msgspec.Meta(ge=-1)] = -1
    kafka_min_isr: Annotated[int, msgspec.Meta(ge=0)] = 0
    kafka_heap_mb: int = 384
    kafka_jit: Literal["full", "c1"] = "full"
    kafka_advertised: str = "localhost"
    kafka_nodes: str = ""
    gateways: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    fraud_workers: Annotated[int, msgspec.Meta(ge=1, le=FRAUD_WORKERS_MAX)] = 1
    fraud_addresses: str = ""
    vaults: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    start_patience: float = 60.0

    def __post_init__(self) -> None:
        """Raises `BadSetting` where nodes of Kafka or the fraud flow's workers would wait for ever for others."""
        if self.kafka_nodes and self.kafka_advertised not in self.kafka_hosts():
            raise BadSetting("SLUICE_KAFKA_NODES: SLUICE_KAFKA_ADVERTISED, this node's name, is not among them")
        places = len(self.fraud_addresses.split(","))
        if self.fraud_addresses and places != self.fraud_workers:
            counts = f"{places} for {self.fraud_workers} workers (SLUICE_FRAUD_WORKERS)"
            raise BadSetting(f"SLUICE_FRAUD_ADDRESSES: as many addresses as workers; these are {counts}")

    def kafka_hosts(self) -> tuple[str, ...]:
        """The nodes of our own Kafka, if it is a cluster."""
        return tuple(name.strip() for name in self.kafka_nodes.split(",") if name.strip())

    def kafka_has_plain_port(self) -> bool:
        """Whether whoever is on this machine reads our own broker without a password."""
        return not self.kafka and not self.kafka_nodes


class ReplaySettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seed_password`: of the seeded accounts."""

    seed_password: str = "sluice-demo-only"  # noqa: S105  # public by intent


class ShopperSettings(ReplaySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`shoppers`: how many customers the demo has; `shopper_rate`: purchases per second, all together.

    `catcher`: where they read their mails (default: the local one).
    """

    shoppers: int = 40
    shopper_rate: float = 8.0
    catcher: str = ""

    def catcher_url(self) -> str:
        """Where mails are read."""
        return self.catcher or self.url("catcher")


class AskerSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of `sluice sql`. `sql_token`: a person's own. `sql_history`: where the prompt keeps what was asked."""

    sql_token: str = ""
    sql_history: Path = Path("~/.local/state/sluice/sql_history")


def token_file_named() -> str:
    """The file that `SLUICE_SQL_TOKEN_FILE` names, whatever is in it; empty: none."""
    return os.environ.get("SLUICE_SQL_TOKEN_FILE", "")


def environment(declared: Iterable[type[Settings]], data: Path) -> dict[str, str]:
    """The environment of a process: the plain one and the `SLUICE_…` variables its own settings declare.

    So a vault key or a processor's secret reaches only the processes whose settings name it.
    """
    names = {given for kind in declared for name in variables(kind) for given in (name, f"{name}_FILE")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_") or k in names}
    return kept | {"SLUICE_DATA": str(data), "PYTHONUNBUFFERED": "1"}


def postgres_environment(password: str) -> dict[str, str]:
    """The environment of a program of PostgreSQL's; by it, and no argument that others see, goes the password."""
    return os.environ | ({"PGPASSWORD": password} if password else {})


def benchmark_environment(data: Path, port_offset: int) -> dict[str, str]:
    """The environment of a stack on `data` and ports of its own; no other `SLUICE_…` variable is passed on."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return plain | {"SLUICE_DATA": str(data), "SLUICE_PORT_OFFSET": str(port_offset)}


def variables(kind: type[Settings]) -> list[str]:
    """The variables of one settings class, in the order of its fields."""
    return [f"SLUICE_{field.encode_name.upper()}" for field in msgspec.structs.fields(kind)]
