"""`sluice kafka`: makes topics, users and rights of a cluster as the table says; by which commands come there."""

import sys

import click
from confluent_kafka import KafkaException

from connectors.kafka import (
    KafkaRefused,
    admin_client,
    check_login,
    create_topics,
    is_listening,
    missing_topics,
)
from connectors.kafka_login import Bootstrap, address, login, new_password
from connectors.keyfiles import SecretMissing
from schemas.settings import BadSetting, Settings, load
from schemas.topic_rights import Principal
from schemas.topics import TOPICS
from sluice import kafka_acls
from sluice.kafka_users import give_passwords, missing_users, passwords, remove_user
from sluice.settings import StackSettings

WITHIN_S = 20.0
RESERVED = ("sluice-", "ANONYMOUS")


@click.group()
def kafka() -> None:
    """Topics, users and rights at Kafka."""


@kafka.command("apply")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if there is something to change.")
@click.option("--no-users", is_flag=True, help="Leave users and passwords to whoever else makes them.")
def apply_command(check: bool, no_users: bool) -> None:
    """Make what is missing of topics, users and rights, and take away rights that are not in the table.

    As the user sluice-admin. Each service gets the password that is among the secrets, whatever it was.
    """
    settings = load(StackSettings)
    bootstrap = reach(settings, "admin")
    try:
        changes = _applied(settings, bootstrap, check, not no_users)
    except KafkaException as error:
        raise click.ClickException(f"Kafka at {address(bootstrap)}: {error.args[0].str()}") from None
    click.echo("\n".join(changes) or "nothing to change")
    sys.exit(1 if check and changes else 0)


@kafka.command("grant")
@click.argument("name")
def grant(name: str) -> None:
    """Let NAME read every topic, with groups that begin with NAME; its new password is printed, once."""
    _check_name(name)
    settings, text = load(StackSettings), new_password().decode()
    admin = admin_client(reach(settings, "admin"))
    try:
        kafka_acls.add_all(admin, kafka_acls.reading(name))
        give_passwords(admin, {name: text})
    except KafkaException as error:
        raise click.ClickException(error.args[0].str()) from None
    click.echo(text)


@kafka.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Take from NAME its password and all its rights; who is connected reads nothing more."""
    _check_name(name)
    admin = admin_client(reach(load(StackSettings), "admin"))
    try:
        kafka_acls.remove_all(admin, [b for b in kafka_acls.present(admin) if b.principal == f"User:{name}"])
        remove_user(admin, name)
    except KafkaException as error:
        raise click.ClickException(error.args[0].str()) from None


def reach(settings: Settings, principal: Principal) -> Bootstrap:
    """By which a command comes to Kafka. Raises `click.ClickException` where nobody listens or it is refused."""
    try:
        bootstrap = login(settings, principal)
        if not is_listening(bootstrap):
            raise click.ClickException(f"nobody listens at {address(bootstrap)}")
        check_login(bootstrap)
    except (BadSetting, KafkaException, KafkaRefused, SecretMissing) as refused:
        raise click.ClickException(str(refused)) from None
    return bootstrap


def _applied(settings: StackSettings, bootstrap: Bootstrap, check: bool, with_users: bool) -> list[str]:
    """What differed from the table, line by line; it is made so, unless this is a `check`."""
    admin = admin_client(bootstrap)
    topics = missing_topics(admin, TOPICS, WITHIN_S)
    users = missing_users(admin) if with_users else []
    acls = kafka_acls.difference(kafka_acls.present(admin), anonymous=settings.kafka_has_plain_port())
    if not check:
        create_topics(bootstrap, TOPICS, settings.kafka_replication, WITHIN_S, settings.kafka_min_isr)
        kafka_acls.make(admin, acls)
        if with_users:
            give_passwords(admin, passwords(settings))
    for hole in acls.holes:
        click.echo(f"beware: {kafka_acls.told(hole)}, and so topics of ours", err=True)
    return [
        *(f"+ topic {topic.name}" for topic in topics),
        *(f"+ user {name}" for name in users),
        *(f"+ {kafka_acls.told(binding)}" for binding in acls.add),
        *(f"- {kafka_acls.told(binding)}" for binding in acls.remove),
    ]


def _check_name(name: str) -> None:
    if not name.isprintable() or not name.strip() or name.startswith(RESERVED) or name == "*":
        raise click.ClickException(
            f"{name!r} is no name for a team's user: those of ours begin with {RESERVED[0]}"
        )
