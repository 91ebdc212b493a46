"""Checks of what the stack reaches: books, Kafka, vault and gateway. What does not run is no failure by itself."""

import asyncio
import urllib.error
import urllib.request
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it has types, but no marker that says so
import msgspec
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from confluent_kafka import KafkaException
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from connectors.kafka import consumer, is_listening
from connectors.kafka_login import address, login
from connectors.keyfiles import SecretMissing
from gateway.books.opening import alembic_config, run_once, sqlite_path
from gateway.settings import GatewaySettings
from gateway.vault.client import Unproven, VaultAway, VaultClient
from gateway.vault.proof import client_secret
from gateway.vault.settings import VaultSettings
from schemas.settings import BadSetting, Settings, load
from schemas.times import now_micros
from schemas.topics import TOPICS
from sluice.admin import with_data
from sluice.doctor.diagnoses import Diagnosis, failed, ok, unknown, warning
from sluice.settings import StackSettings
from sluice.vault import running_vaults

SKEW_MAX_S = 2.0
ASK_S = 5.0


def books(data: Path) -> list[Diagnosis]:
    """Whether the books can be read, are of this release, and their clock is ours."""
    try:
        url = with_data(load(GatewaySettings), data).books_url()
    except BadSetting as error:
        return [failed("books", str(error), "Correct it.")]
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return [unknown("books", f"{path} is not there yet: the first start makes it")]
    try:
        revision, seconds = run_once(url, _revision_and_time, readonly=True)
    except SecretMissing as error:
        return [failed("books", str(error), "Put back the file of the database's password.")]
    except (OSError, SQLAlchemyError, asyncpg.PostgresError) as error:
        says = f"cannot be read: {type(error.__cause__ or error).__name__}"
        return [failed("books", says, "Start the database, or correct SLUICE_DATABASE_URL and its password.")]
    return [_migrations(url, revision), *_clock(seconds)]


def _revision_and_time(conn: Connection) -> tuple[str | None, float | None]:
    revision = MigrationContext.configure(conn).get_current_revision()
    if conn.dialect.name == "sqlite":
        return revision, None  # its clock is this machine's
    return revision, float(conn.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())


def _migrations(url: str, revision: str | None) -> Diagnosis:
    scripts = ScriptDirectory.from_config(alembic_config(url))
    head, known = scripts.get_current_head(), {script.revision for script in scripts.walk_revisions()}
    if revision == head:
        return ok("books", f"revision {revision}")
    if revision is not None and revision not in known:
        return failed("books", f"revision {revision} is of a later release", "Install the release that made it.")
    return warning("books", f"revision {revision}, of an earlier release", "The gateway's next start migrates.")


def _clock(seconds: float | None) -> list[Diagnosis]:
    if seconds is None:
        return []
    ahead_s = now_micros() / 1_000_000 - seconds
    if abs(ahead_s) > SKEW_MAX_S:
        says = f"this machine is {ahead_s:+.1f} s from the database"
        return [failed("clock of the books", says, "Keep both clocks by NTP: what people see is dated by them.")]
    return [ok("clock of the books", f"{ahead_s:+.2f} s")]


def kafka(settings: StackSettings) -> list[Diagnosis]:
    """Whether Kafka answers, and has every topic with its partitions."""
    if not settings.kafka and settings.kafka_nodes:
        return [unknown("kafka", "this is one of several nodes: look from where SLUICE_KAFKA names them")]
    if not is_listening(settings.bootstrap()):
        if not settings.kafka:
            return [unknown("kafka", "the stack's own does not run")]
        remedy = "Start it, or correct SLUICE_KAFKA; until then the stand-in judges and events wait."
        return [failed("kafka", f"nobody listens at {settings.kafka}", remedy)]
    try:
        # Of the stack's own Kafka whoever is on this machine may read, and a password is not made for a look.
        bootstrap = login(settings, "operator") if settings.kafka else settings.bootstrap()
    except (BadSetting, SecretMissing) as error:
        return [failed("kafka", str(error), "Make it, and `sluice kafka apply` tells it to Kafka.")]
    client = consumer(bootstrap)
    try:
        there = client.list_topics(timeout=ASK_S).topics
    except KafkaException as error:
        return [failed("kafka", str(error), "Look at its log, and at our credentials there.")]
    finally:
        client.close()
    wrong = [t.name for t in TOPICS if t.name not in there or len(there[t.name].partitions) != t.partitions]
    if wrong:
        remedy = "`sluice ready kafka` creates what is missing; the partitions of a topic stay as agreed."
        return [failed("kafka", f"missing, or with other partitions: {', '.join(wrong)}", remedy)]
    return [ok("kafka", f"{len(TOPICS)} topics at {address(bootstrap)}")]


def vault(data: Path) -> list[Diagnosis]:
    """Whether the vault answers, to whom knows our client secret; of several one of them."""
    try:
        settings = msgspec.structs.replace(load(VaultSettings), data=data)
        if not (found := running_vaults(settings)):
            return [unknown("vault", "does not run")]
        secret = client_secret(settings, settings.vault_client)
    except BadSetting as error:
        return [failed("vault", str(error), "Correct it.")]
    except SecretMissing as error:
        return [failed("vault", str(error), "Put the secret there that the vault has.")]
    client = VaultClient(found, secret)
    try:
        counts = asyncio.run(_counted(client))
    except Unproven:
        return [failed("vault", "knows another client secret", "Give both the same file: SLUICE_VAULT_CLIENT.")]
    except VaultAway:
        where = ", ".join(map(str, found))
        return [failed("vault", f"does not answer on {where}", "Look at the end of its log.")]
    return [ok("vault", f"{counts} cards")]


async def _counted(client: VaultClient) -> int:
    try:
        return (await client.count()).cards
    finally:
        await client.close()


def gateway(settings: Settings) -> list[Diagnosis]:
    """Whether the gateway says that it can take payments."""
    url = f"{settings.gateway_url()}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=ASK_S):  # noqa: S310 - the address is a setting of ours
            return [ok("gateway", f"takes payments at {settings.gateway_url()}")]
    except urllib.error.HTTPError as error:
        says = f"answers {error.code} to /readyz"
        return [failed("gateway", says, "Its log says why: gateway.not_ready. Books or vault are away.")]
    except OSError:
        return [unknown("gateway", f"nobody answers at {settings.gateway_url()}")]
