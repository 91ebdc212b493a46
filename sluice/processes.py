"""The processes of the stack: how each is started, which must be ready before it, and its probe."""

import asyncio
import importlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec

from connectors.heartbeat import forget_beats, process_name
from gateway.vault.isolation import socket_path
from gateway.vault.settings import VaultSettings
from gateway.vault.witness import open_witness
from schemas.settings import Settings, load
from sluice import broker, probes
from sluice.broker_secrets import broker_secrets
from sluice.bytewax_runs import flow_command, make_recovery, python
from sluice.jars import class_path
from sluice.own_kafka import own_broker, set_up
from sluice.probes import Probe
from sluice.settings import StackSettings
from sluice.vault import begin_if_empty, local_witness

FLOWS = ("fraud", "notifications", "analytics")
VAULTS = ("vault", "vault_2")
OF_LOCAL = ("sandbox", "catcher", "shoppers")  # the world outside, made up
NAMES = ("kafka", "sandbox", "catcher", "vault", *FLOWS, "sql", "gateway", "dashboard")


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `settings`: the modules of the settings it reads; it gets no other `SLUICE_…` variable.

    Before its first start the processes it `needs` must be ready. It also waits for those it comes `after`, but
    for a limited time: a broken flow must not keep the gateway from taking payments. `ports` are names of `PORTS`.
    `given` are further environment variables. `prepare` runs before each start, in a thread. One that `may_die` is
    started again at once, however it ended, if it was ready.
    """

    name: str
    command: list[str]
    probe: Probe
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    given: dict[str, str] = {}
    prepare: Callable[[], None] | None = None
    may_die: bool = False


def stack(settings: StackSettings, gateway_variables: dict[str, str] | None = None) -> list[Process]:
    """Every process of `NAMES`, in that order; without `kafka` where `SLUICE_KAFKA` names another cluster.

    In production without `OF_LOCAL`.

    Further gateways are `gateway_2` and so on, further workers of the fraud flow `fraud_2`.

    `gateway_variables`: what the gateway is given beside its own environment.
    """
    own = [] if settings.kafka else [_kafka(settings)]
    return [
        *own,
        *([_sandbox(settings), _catcher(settings)] if settings.profile == "local" else []),
        *_vaults(settings),
        *fraud_workers(settings),
        _flow(settings, "notifications"),
        _warehouse(settings, "analytics", "get_flow", port="warehouse"),
        _warehouse(settings, "sql", "get_sql_flow", port="sql", may_die=True),
        *(_gateway(settings, number, gateway_variables or {}) for number in range(1, settings.gateways + 1)),
        _dashboard(settings),
    ]


def shoppers(settings: StackSettings, rate: float | None = None) -> Process:
    """The demo's process that pays, started once the gateway is ready; `rate`: purchases per second."""
    return Process(
        name="shoppers",
        command=python("sluice.shoppers"),
        probe=probes.heartbeat(settings, "shoppers"),
        settings=("sluice.settings",),
        needs=("gateway",),
        given={} if rate is None else {"SLUICE_SHOPPER_RATE": str(rate)},
    )


def fraud_workers(settings: StackSettings) -> list[Process]:
    """The fraud flow: one process, or as many as there are workers, a cluster of Bytewax."""
    return [_fraud(settings, number) for number in range(1, settings.fraud_workers + 1)]


def fraud_names(settings: StackSettings) -> tuple[str, ...]:
    """What the processes of the fraud flow are called."""
    return tuple(process_name("fraud", number) for number in range(1, settings.fraud_workers + 1))


def ports_of(processes: Iterable[Process]) -> list[str]:
    """The names of the ports that these listen on, and whoever supervises them."""
    return [*(name for process in processes for name in process.ports), "stack_metrics"]


def settings_classes(process: Process) -> list[type[Settings]]:
    """The settings structs a process reads."""
    found = [vars(importlib.import_module(module)).values() for module in process.settings]
    return [kind for values in found for kind in values if isinstance(kind, type) and issubclass(kind, Settings)]


def _kafka(settings: StackSettings) -> Process:
    kafka, jars = own_broker(settings), class_path(settings.cache)
    return Process(
        name="kafka",
        command=broker.command(kafka, jars),
        probe=probes.kafka(lambda: set_up(settings)),
        ports=("kafka", "kafka_controller", "kafka_services"),
        prepare=lambda: broker.prepare(kafka, jars, broker_secrets(settings)),
    )


def _sandbox(settings: StackSettings) -> Process:
    return Process(
        name="sandbox",
        command=python("connectors.sandbox"),
        probe=probes.http(settings.port("sandbox"), "/healthz"),
        settings=("connectors.processors.settings",),
        ports=("sandbox", "visa", "mastercard", "paypal"),
    )


def _catcher(settings: StackSettings) -> Process:
    return Process(
        name="catcher",
        command=python("connectors.sandbox.catcher"),
        probe=probes.http(settings.port("catcher"), "/healthz"),
        settings=("connectors.sandbox.catcher.settings",),
        ports=("catcher", "smtp"),
    )


def _vaults(settings: StackSettings) -> list[Process]:
    """The vault; and where there are two the other one, which has its own files and the same keys."""
    if settings.vaults == 1:
        own = msgspec.structs.replace(load(VaultSettings), data=settings.data)
        return [_vault("vault", own.socket(), {})]
    data = {"vault": settings.data, "vault_2": settings.data / "vault_2"}
    common = {
        "SLUICE_VAULT_WITNESS": local_witness(settings.data),
        "SLUICE_SECRETS": str(settings.secrets().absolute()),
        "SLUICE_VAULT": "",
    }
    return [
        _vault(
            name,
            socket_path(data[name]),
            {
                **common,
                "SLUICE_DATA": str(data[name]),
                "SLUICE_VAULT_NAME": name,
                "SLUICE_VAULT_OTHER": str(socket_path(data[other])),
            },
            prepare=partial(_begin, data[name], name, common["SLUICE_VAULT_WITNESS"]),
        )
        for name, other in (("vault", "vault_2"), ("vault_2", "vault"))
    ]


def _vault(name: str, path: Path, given: dict[str, str], prepare: Callable[[], None] | None = None) -> Process:
    return Process(
        name=name,
        command=python("gateway.vault"),
        probe=probes.vault(path),
        settings=("gateway.vault.settings",),
        given=given,
        needs=VAULTS[: VAULTS.index(name)],  # the second one waits until the witness is begun
        prepare=prepare,
    )


def _begin(data: Path, name: str, witness: str) -> None:
    """At the first start with two vaults, the first one serves: it has the cards of before."""
    if name == "vault":
        asyncio.run(begin_if_empty(data, name, open_witness(witness)))


def _flow(settings: StackSettings, name: str) -> Process:
    recovery = settings.data / name
    return Process(
        name=name,
        command=flow_command(name, recovery),
        probe=probes.heartbeat(settings, name),
        settings=(f"flows.{name}.settings",),
        needs=("kafka",),
        ports=(f"{name}_metrics",),
        prepare=lambda: make_recovery(recovery),
    )


def _fraud(settings: StackSettings, number: int) -> Process:
    recovery, names = settings.data / "fraud", fraud_names(settings)
    several, name = len(names) > 1, names[number - 1]
    addresses = settings.fraud_addresses.split(",") if settings.fraud_addresses else _local(settings, names)

    def prepare() -> None:
        forget_beats(settings, "fraud", len(names))
        make_recovery(recovery, len(names))

    return Process(
        name=name,
        command=flow_command("fraud", recovery, number, addresses if several else None),
        probe=probes.heartbeat(settings, name),
        settings=("flows.fraud.settings",),
        needs=("kafka",),
        ports=(f"{name}_metrics", *((name,) if several and not settings.fraud_addresses else ())),
        given={"SLUICE_FRAUD_PROCESS": str(number)},
        prepare=prepare,
    )


def _local(settings: StackSettings, names: tuple[str, ...]) -> list[str]:
    return [f"localhost:{settings.port(name)}" for name in names]


def _warehouse(settings: StackSettings, name: str, flow: str, port: str, may_die: bool = False) -> Process:
    # It has no recovery store: its offsets are in DuckDB, in the same transactions as its rows.
    return Process(
        name=name,
        command=[*python("bytewax.run"), f"flows.analytics.flow:{flow}"],
        probe=probes.heartbeat(settings, name),
        settings=("flows.analytics.settings",),
        needs=("kafka",),
        ports=(port, f"{name}_metrics"),
        may_die=may_die,
    )


def _gateway(settings: StackSettings, number: int, given: dict[str, str]) -> Process:
    """The first one, or a further one, which needs nothing to be told but its port."""
    name = process_name("gateway", number)
    own = {} if number == 1 else {"SLUICE_GATEWAY_PORT": str(settings.port(name))}
    if settings.vaults > 1:
        own["SLUICE_VAULT"] = ",".join(
            str(socket_path(data)) for data in (settings.data, settings.data / "vault_2")
        )
    return Process(
        name=name,
        command=python("gateway"),
        probe=probes.http(settings.port(name), "/readyz"),
        settings=("gateway.settings", "connectors.processors.settings", "connectors.settings"),
        # Last: the first payment gets a real verdict.
        after=("kafka", "sandbox", "catcher", *VAULTS[: settings.vaults], *fraud_names(settings), *FLOWS[1:]),
        ports=(name,),
        given=given | own,
    )


def _dashboard(settings: StackSettings) -> Process:
    return Process(
        name="dashboard",
        command=python("dashboards"),
        probe=probes.http(settings.port("dashboard"), "/_stcore/health"),
        settings=("dashboards.settings",),
        after=("gateway",),  # nothing waits for it, and two cores are busy until then
        ports=("dashboard", "dashboard_metrics"),
    )
