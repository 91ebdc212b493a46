"""By which clients of Kafka connect: an address alone, or a login of one of our services.

The passwords are files among the secrets, `kafka.NAME.password`, one for each service.
"""

import secrets
from pathlib import Path
from typing import Any, Literal, assert_never

import msgspec

from connectors.keyfiles import SecretMissing, read_or_make
from schemas.settings import BadSetting, Settings
from schemas.topic_rights import Principal, owner, user

CA_FILE = "kafka.ca.pem"  # of our own broker, where it has TLS


class KafkaLogin(msgspec.Struct, frozen=True):
    """Who comes to Kafka at which bootstrap servers, and how.

    `ca`: a PEM file of the authorities that the servers' certificates may come from (None: the machine's own).
    `PLAIN` is for the admin of our own broker alone, who is there before any other user.
    """

    servers: str
    user: str
    password: str
    tls: bool
    ca: Path | None = None
    mechanism: Literal["SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"

    def __repr__(self) -> str:
        return f"KafkaLogin({self.servers!r}, {self.user!r})"


Bootstrap = str | KafkaLogin  # servers alone: whoever comes there is nobody, in plain text


def address(bootstrap: Bootstrap) -> str:
    """The bootstrap servers."""
    return bootstrap if isinstance(bootstrap, str) else bootstrap.servers


def connection(bootstrap: Bootstrap) -> dict[str, Any]:
    """librdkafka's settings of a connection."""
    if isinstance(bootstrap, str):
        return {"bootstrap.servers": bootstrap}
    return {
        "bootstrap.servers": bootstrap.servers,
        "security.protocol": "SASL_SSL" if bootstrap.tls else "SASL_PLAINTEXT",
        "sasl.mechanism": bootstrap.mechanism,
        "sasl.username": bootstrap.user,
        "sasl.password": bootstrap.password,
    } | ({"ssl.ca.location": str(bootstrap.ca)} if bootstrap.tls and bootstrap.ca else {})


def login(settings: Settings, principal: Principal) -> Bootstrap:
    """By which a service connects. Raises `SecretMissing` where its password, or the CA's file, does not exist."""
    match security := settings.kafka_protocol():
        case "plaintext":
            return settings.bootstrap()
        case "sasl_plaintext" | "sasl_ssl":
            ca = settings.kafka_ca or (None if settings.kafka else settings.secrets() / CA_FILE)
            if security == "sasl_ssl" and ca is not None and not ca.is_file():
                raise SecretMissing(f"{ca}, of the authorities of Kafka's certificates, does not exist")
            return KafkaLogin(
                settings.kafka or f"localhost:{settings.port('kafka_services')}",
                user(principal),
                password(settings, principal),
                security == "sasl_ssl",
                ca,
                "PLAIN" if principal == "admin" and not settings.kafka else "SCRAM-SHA-512",
            )
        case _:
            assert_never(security)


def owner_login(settings: Settings, topic: str) -> Bootstrap | None:
    """By which a topic is written in the name of the service whose word it is; None without its password here."""
    if settings.kafka_protocol() == "plaintext":
        return settings.bootstrap()
    principal = owner(topic)
    return login(settings, principal) if (settings.secrets() / password_file(principal)).exists() else None


def password_file(principal: Principal) -> str:
    """The name of the file that holds a service's password."""
    return f"kafka.{principal}.password"


def password(settings: Settings, principal: Principal) -> str:
    """A service's password. Raises `SecretMissing` where it does not exist and the profile is not local."""
    text = read_or_make(settings, password_file(principal), new_password).decode().strip()
    if not text or not text.isprintable() or set(text) & {'"', "\\"}:
        raise BadSetting(f"{settings.secrets() / password_file(principal)}: one line of text, without quotes")
    return text


def new_password() -> bytes:
    """A random password: 32 bytes."""
    return secrets.token_hex(32).encode()
