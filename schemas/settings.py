"""How every process reads its settings: a frozen struct, one `SLUICE_…` variable per field, read once."""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from schemas.networks import Networks, networks

ProfileName = Literal["local", "production"]
KafkaProtocol = Literal["plaintext", "sasl_plaintext", "sasl_ssl"]
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

PORTS: dict[str, int] = {
    "gateway": 8080,
    "gateway_2": 8081,
    "gateway_3": 8082,
    "gateway_4": 8083,
    "dashboard": 8501,
    "kafka": 9092,
    "kafka_controller": 9093,
    "kafka_services": 9094,
    "sql": 9494,
    "warehouse": 9495,
    "sandbox": 8090,
    "visa": 8091,
    "mastercard": 8092,
    "paypal": 8093,
    "smtp": 1025,
    "catcher": 8025,
    # What Prometheus asks; a gateway answers it on its own port.
    "stack_metrics": 9210,
    "fraud_metrics": 9211,
    "notifications_metrics": 9212,
    "analytics_metrics": 9213,
    "sql_metrics": 9214,
    "dashboard_metrics": 9215,
    "fraud_2_metrics": 9216,
    "fraud_3_metrics": 9217,
    "fraud_4_metrics": 9218,
    "fraud": 9111,  # at which the workers of the fraud flow meet, where there are several
    "fraud_2": 9112,
    "fraud_3": 9113,
    "fraud_4": 9114,
}
FRAUD_WORKERS_MAX = 4
CERTAIN = {"verify-full", "verify-ca"}  # the modes of libpq in which the server's certificate is checked


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every process knows. `SLUICE_PORT_OFFSET` moves all local ports together.

    `host`: the address its servers listen on. `secrets_directory` (default: `secrets` in the data directory) holds
    its secrets. `gateway` (its base URL), `kafka`, `sql` (which analysts ask) and `warehouse` (which the dashboard
    asks): where those are if not on this machine. `sql_ca`: a PEM file of the authorities that the certificates of
    those two may come from. `metrics_from`: addresses and networks that may read metrics besides this machine.
    `traces`: the base URL of an OpenTelemetry collector (OTLP over HTTP), or nothing.
    `kafka_security`: how our processes come to Kafka (default: what `kafka_protocol` says); `kafka_ca`: a PEM file
    of the authorities that its certificates may come from. `plain_hosts`: hosts, separated by commas, that
    production speaks to without TLS, because nobody else is on the network that leads there.
    `profile` is `local` (sandbox, generated keys, seed accounts allowed) or `production` (none of these).
    """

    data: Path = Path("data")
    secrets_directory: Path | None = msgspec.field(default=None, name="secrets")
    host: str = "localhost"
    port_offset: Annotated[int, msgspec.Meta(ge=0, le=65_535 - max(PORTS.values()))] = 0
    gateway: str = ""
    kafka: str = ""
    kafka_security: KafkaProtocol | None = None
    kafka_ca: Path | None = None
    sql: str = ""
    sql_ca: Path | None = None
    warehouse: str = ""
    metrics_from: str = ""
    traces: str = ""
    plain_hosts: str = ""
    profile: ProfileName = "local"

    def check_production(self) -> None:
        """Check what the production profile asks for. Raises `BadSetting`. `load` calls it in that profile."""
        for name in ("gateway", "sql", "warehouse", "traces"):
            self.check_way(f"SLUICE_{name.upper()}", getattr(self, name))
        servers = (
            [server.strip().rpartition(":")[0] for server in self.kafka.split(",")] if self.kafka else [self.host]
        )
        if self.kafka_protocol() == "sasl_plaintext" and not all(map(self.may_be_plain, servers)):
            raise BadSetting(
                "SLUICE_KAFKA_SECURITY: production needs sasl_ssl, or its hosts in SLUICE_PLAIN_HOSTS"
            )

    def check_way(self, variable: str, url: str) -> None:
        """Refuse a URL by which secrets would cross a network in clear. Raises `BadSetting`."""
        at = urlsplit(url)
        if at.scheme == "http" and not self.may_be_plain(at.hostname or ""):
            raise BadSetting(f"{variable}: production needs https, or {at.hostname} in SLUICE_PLAIN_HOSTS")

    def check_database(self, variable: str, url: str) -> None:
        """Refuse a PostgreSQL whose certificate would not be checked over a network. Raises `BadSetting`."""
        if not all(map(self.may_be_plain, unproven_hosts(url))):
            raise BadSetting(
                f"{variable}: production needs ?sslmode=verify-full, or the host in SLUICE_PLAIN_HOSTS"
            )

    def may_be_plain(self, host: str) -> bool:
        """Whether a host is spoken to without TLS: this machine, or one of `plain_hosts`."""
        named = {name.strip().lower() for name in self.plain_hosts.split(",") if name.strip()}
        return host.lower() in named or is_this_machine(host)

    def refuse_production(self, who: str) -> None:
        """For what is the local profile's alone. Raises `BadSetting`."""
        if self.profile != "local":
            raise BadSetting(f"SLUICE_PROFILE: {who} is for the local profile alone")

    def port(self, name: str) -> int:
        """The local port of one of `PORTS`."""
        return PORTS[name] + self.port_offset

    def url(self, name: str) -> str:
        """`http://localhost:<port>` of one of `PORTS`."""
        return f"http://localhost:{self.port(name)}"

    def gateway_url(self) -> str:
        """Where processes of ours ask the gateway: `SLUICE_GATEWAY`, or else the local one."""
        return self.gateway or self.url("gateway")

    def bootstrap(self) -> str:
        """Kafka's bootstrap servers: `SLUICE_KAFKA`, or else the local broker, where nobody needs a password."""
        return self.kafka or f"localhost:{self.port('kafka')}"

    def kafka_protocol(self) -> KafkaProtocol:
        """How our processes come to Kafka: with a password, and with TLS wherever a network is crossed.

        To another cluster they come in plain text unless a setting says otherwise; in production they never do.
        Raises `BadSetting`.
        """
        if self.kafka_security == "plaintext" and (self.profile == "production" or not self.kafka):
            raise BadSetting("SLUICE_KAFKA_SECURITY: plaintext is for another cluster, in the local profile alone")
        if self.kafka_security or (self.profile == "production" and self.kafka):
            return self.kafka_security or "sasl_ssl"
        if self.kafka:
            return "plaintext"
        return "sasl_plaintext" if self.host in LOOPBACK else "sasl_ssl"

    def sql_url(self) -> str:
        """Where SQL is asked: `SLUICE_SQL`, or else the local process."""
        return self.sql or self.url("sql")

    def warehouse_url(self) -> str:
        """Where the dashboard asks the warehouse: `SLUICE_WAREHOUSE`, or else the local one."""
        return self.warehouse or self.url("warehouse")

    def metrics_networks(self) -> Networks:
        """Who may read metrics besides this machine. Raises `BadSetting`."""
        return checked_networks("SLUICE_METRICS_FROM", self.metrics_from)

    def secrets(self) -> Path:
        """Where key files lie (directory 0700, files 0600)."""
        return self.secrets_directory or self.data / "secrets"


class BadSetting(ValueError):
    """A `SLUICE_…` variable has a value its field does not take, or names no file; the message names it."""


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its name, as every name below `localhost` is (RFC 6761)."""
    named = host.strip("[]").lower()  # of IPv6, as a URL has it
    return named in LOOPBACK or named.endswith(".localhost")


def unproven_hosts(url: str) -> list[str]:
    """The hosts of a PostgreSQL URL, as asyncpg reads it, whose certificates are not checked. A socket is none."""
    at = urlsplit(url)
    asked = dict(parse_qsl(at.query))
    if not at.scheme.startswith("postgres") or asked.get("sslmode") in CERTAIN:
        return []
    named = at.netloc.rpartition("@")[2] or asked.get("host") or os.environ.get("PGHOST", "")
    hosts = [host for host in named.split(",") if host and not host.startswith("/")]
    return [host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0] for host in hosts]


def checked_networks(name: str, given: str) -> Networks:
    """The networks that the variable `name` names. Raises `BadSetting`."""
    try:
        return networks(given)
    except ValueError:
        raise BadSetting(f"{name}: addresses and networks (10.0.0.0/8), separated by commas") from None


S = TypeVar("S", bound=Settings)


def load(kind: type[S], *, checked: bool = True) -> S:
    """The settings of one process from its environment. An empty variable counts as not set.

    `SLUICE_X_FILE` names a file that holds the value of `SLUICE_X`: an environment can be seen by too many.
    `checked`: False for what helps to set them. Raises `BadSetting`.
    """
    names = {field.encode_name: f"SLUICE_{field.encode_name.upper()}" for field in msgspec.structs.fields(kind)}
    given = {field: value for field, name in names.items() if (value := _value(name))}
    try:
        made = msgspec.convert(given, kind, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        said, _, field = str(error).partition(" - at `$.")
        raise BadSetting(f"SLUICE_{field.rstrip('`').upper()}: {said}" if field else said) from None
    if checked and made.profile == "production":
        made.check_production()
    return made


def named_file(variable: str) -> Path | None:
    """The file that holds the value of a variable, where `SLUICE_X_FILE` names one."""
    file = os.environ.get(f"{variable}_FILE")
    return Path(file) if file else None


def _value(name: str) -> str:
    file = named_file(name)
    if not file:
        return os.environ.get(name, "")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise BadSetting(f"{name}_FILE: {file}: {error.strerror}") from None


def _path(kind: type, value: object) -> object:
    return kind(value)
