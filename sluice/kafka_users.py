"""The users of our services at Kafka, by the passwords among the secrets."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from connectors.durable_files import write_durably
from connectors.kafka_login import password
from schemas.settings import Settings
from schemas.topic_rights import PRINCIPALS, user

ITERATIONS = 4096  # the least that Kafka takes: our passwords are random, so more would guard nothing
WITHIN_S = 20.0


def passwords(settings: Settings) -> dict[str, str]:
    """The password of each user of ours. Raises `SecretMissing`."""
    return {user(principal): password(settings, principal) for principal in PRINCIPALS}


def give_passwords(admin: AdminClient, given: Mapping[str, str]) -> None:
    """Make these users, or give them these passwords. Raises `KafkaException`."""
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    _alter(admin, [UserScramCredentialUpsertion(name, scram, text.encode()) for name, text in given.items()])


def remove_user(admin: AdminClient, name: str) -> None:
    """Take a user's password away. Raises `KafkaException`."""
    _alter(admin, [UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512)])


def missing_users(admin: AdminClient) -> list[str]:
    """The users of ours that Kafka does not know. Raises `KafkaException`."""
    there: Any = admin.describe_user_scram_credentials(request_timeout=WITHIN_S)
    known = there.result()
    return [name for name in map(user, PRINCIPALS) if name not in known]


def _alter(admin: AdminClient, changes: list[Any]) -> None:
    for future in admin.alter_user_scram_credentials(changes, request_timeout=WITHIN_S).values():
        future.result()


class GivenPasswords:
    """Remembers beside a broker which passwords it was given: to give them at each look would fill its log."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "users.sha256"

    def are(self, given: Mapping[str, str]) -> bool:
        """Whether these were the last ones."""
        return self._file.exists() and self._file.read_text() == _digest(given)

    def note(self, given: Mapping[str, str]) -> None:
        """Remember that they were given."""
        write_durably(self._file, _digest(given).encode())


def _digest(given: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(given.items())).encode()).hexdigest()
