"""How each secret that lies in a file is replaced while everything serves (docs/operators.md has the table).

Each begins by putting the new one beside the present one (`NAME.next`), so that whoever checks it takes both
before anybody shows the new one. A rotation that was killed goes on with the one that is there.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import NamedTuple

import click
import msgspec
from confluent_kafka import KafkaException
from sqlalchemy import Connection

from connectors.kafka import admin_client
from connectors.kafka_login import password_file
from connectors.processors.settings import SECRET_FILES, ProcessorSettings
from connectors.secret_files import SecretFile, next_of, take_next
from connectors.settings import MAIL_PASSWORD_FILE
from connectors.sms import TOKEN_FILE
from connectors.warehouse import SQL_READERS, WRITERS_READERS
from gateway.books.audit import Act, record, sealing
from gateway.books.clients import add_secret
from gateway.books.clock import set_steady_clock
from gateway.books.opening import check_existing, open_books
from gateway.books.passwords import change_password
from gateway.identity.tokens import hash_secret
from gateway.keyed_hashes import open_key
from gateway.seed import DASHBOARDS, SERVICES
from gateway.settings import PASSWORD_FILE, GatewaySettings
from gateway.vault.proof import SECRET_FILE as VAULT_CLIENT
from schemas.settings import BadSetting, load
from schemas.times import steady_micros
from schemas.topic_rights import PRINCIPALS, user
from sluice.kafka import reach
from sluice.kafka_users import give_passwords

SECOND_US = 1_000_000


class SecretRotation(NamedTuple):
    """How a secret rotates. `made`: by us; None where somebody else makes it, who is told first.

    `carry_out` has whoever checks the secret take what is in `NAME.next`, and puts that in its place; it is given
    the overlap in seconds. `then`: what is left to do for whoever rotates it.
    """

    made: Callable[[], str] | None
    carry_out: Callable[[GatewaySettings, Path, int], None]
    then: str = ""


def place_of(settings: GatewaySettings, name: str) -> Path:
    """The file of a secret. Raises `BadSetting` for what does not rotate here."""
    if name not in ROTATIONS:
        raise BadSetting(f"{name} is none of {', '.join(sorted(ROTATIONS))}")
    if name == VAULT_CLIENT and settings.vault_client:
        return settings.vault_client
    for processor, file in SECRET_FILES.items():
        if name == file:
            known = load(ProcessorSettings, checked=False)
            place = {"data": settings.data, "secrets_directory": settings.secrets_directory}
            return msgspec.structs.replace(known, **place).secret(processor).path
    return settings.secrets() / name


def _replaced(_settings: GatewaySettings, path: Path, _overlap_s: int) -> None:
    """Of what somebody else checks: they take both, or the new one already."""
    take_next(path)


def _overlapping(_settings: GatewaySettings, path: Path, overlap_s: int) -> None:
    """Of what our own processes check, by the same files."""
    take_next(path, overlap_s)


def _of_database(settings: GatewaySettings, path: Path, _overlap_s: int) -> None:
    change_password(settings.books_url(), path)
    take_next(path)


def _of_service(settings: GatewaySettings, path: Path, overlap_s: int) -> None:
    """The gateway knows a hash of it in its books, where the one before ends by itself."""
    check_existing(settings.books_url())
    client_id, new = path.name.removesuffix(".secret"), next_of(path).read_text().strip()
    act = Act("client_rotated", f"uid:{os.getuid()}", client_id, {"overlap_s": str(overlap_s)})

    def replace(conn: Connection) -> None:
        now = steady_micros()
        if add_secret(conn, client_id, hash_secret(new), now, now + overlap_s * SECOND_US):
            record(conn, act)

    asyncio.run(_write(settings, replace))
    take_next(path)


def _of_kafka(settings: GatewaySettings, path: Path, _overlap_s: int) -> None:
    """The file first: whoever starts after that reads it. Open connections go on with the one before."""
    admin = admin_client(reach(settings, "admin"))
    take_next(path)
    [name] = [principal for principal in PRINCIPALS if password_file(principal) == path.name]
    try:
        give_passwords(admin, {user(name): SecretFile(path).text()})
    except KafkaException as error:
        said = f"{path} is new, Kafka has the one before: `sluice kafka apply` tells it"
        raise click.ClickException(f"{said} ({error.args[0].str()})") from None


async def _write(settings: GatewaySettings, change: Callable[[Connection], None]) -> None:
    books = open_books(settings.books_url())
    try:
        await set_steady_clock(books)  # by which the overlap ends
        books.seal = sealing(open_key(settings))
        await books.write(change)
    finally:
        await books.close()


_hex, _text = partial(token_hex, 32), partial(token_urlsafe, 32)
AT_OTHERS = "Delete the one before where it is checked, once every host has the new one."
RESTART = "Restart the dashboard within the overlap: it reads this at its start."
AT_KAFKA = "Restart its service, one of several after the other; until then its open connections go on."
KAFKA = "Restart Kafka; of another cluster have its admins take the new one."
LOGINS = "Restart the dashboard: everybody logs in again there."

ROTATIONS: dict[str, SecretRotation] = {
    **{password_file(name): SecretRotation(_hex, _of_kafka, AT_KAFKA) for name in PRINCIPALS},
    password_file("admin"): SecretRotation(_hex, _replaced, KAFKA),
    VAULT_CLIENT: SecretRotation(_hex, _overlapping),
    PASSWORD_FILE: SecretRotation(_hex, _of_database),
    **{f"{name}.secret": SecretRotation(_text, _of_service) for name in SERVICES},
    f"{DASHBOARDS}.secret": SecretRotation(_text, _of_service, RESTART),
    f"{DASHBOARDS}.cookie": SecretRotation(_text, _replaced, LOGINS),
    **{
        f"warehouse.{reader}.token": SecretRotation(partial(token_hex, 16), _overlapping)
        for reader in (*SQL_READERS, *WRITERS_READERS)
    },
    **{
        name: SecretRotation(None, _replaced, AT_OTHERS)
        for name in (*SECRET_FILES.values(), MAIL_PASSWORD_FILE, TOKEN_FILE)
    },
}
