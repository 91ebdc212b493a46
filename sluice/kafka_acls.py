"""Kafka's access control list: what it is to be by `schemas/topic_rights.py`, what it is, and the change."""

from collections.abc import Iterable
from typing import Any

import msgspec
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.topic_rights import ANONYMOUS, GROUP, PRINCIPALS, RIGHTS, user
from schemas.topics import TOPICS

WITHIN_S = 20.0
NAMES = frozenset(topic.name for topic in TOPICS)
# What makes a topic another one: who may do that to one of ours is in the table, or is a hole.
CHANGING = {
    AclOperation.ALL,
    AclOperation.WRITE,
    AclOperation.DELETE,
    AclOperation.ALTER,
    AclOperation.ALTER_CONFIGS,
}
OURS = frozenset(f"User:{user(principal)}" for principal in PRINCIPALS if principal != "admin")


class AclChange(msgspec.Struct, frozen=True):
    """How the list differs from the table: what is to be added, and what removed.

    `holes`: by patterns that others may need (`*`, a prefix) somebody else may write topics of ours; they stay.
    """

    add: tuple[AclBinding, ...]
    remove: tuple[AclBinding, ...]
    holes: tuple[AclBinding, ...]


def wanted(anonymous: bool) -> set[AclBinding]:
    """The whole list; with `anonymous` whoever comes without a password may read every topic with any group."""
    found = {_allow(ResourceType.GROUP, GROUP, name, AclOperation.DESCRIBE) for name in OURS}
    for rights in RIGHTS:
        for principal in rights.writers:
            found.add(_allow(ResourceType.TOPIC, rights.topic, f"User:{user(principal)}", AclOperation.WRITE))
        for principal in rights.readers:
            found.add(_allow(ResourceType.TOPIC, rights.topic, f"User:{user(principal)}", AclOperation.READ))
    if anonymous:
        for kind in (ResourceType.TOPIC, ResourceType.GROUP):
            found.add(_allow(kind, "*", ANONYMOUS, AclOperation.READ))
    return found


def reading(name: str) -> list[AclBinding]:
    """What a team of its own is given: to read every topic of ours, with groups that begin with its name."""
    who = f"User:{name}"
    group = AclBinding(
        ResourceType.GROUP,
        name,
        ResourcePatternType.PREFIXED,
        who,
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    return [group, *(_allow(ResourceType.TOPIC, topic, who, AclOperation.READ) for topic in sorted(NAMES))]


def difference(found: Iterable[AclBinding], anonymous: bool) -> AclChange:
    """What makes the list that was `found` the wanted one. What others may read is theirs and stays."""
    found, needed = set(found), wanted(anonymous)
    ours = OURS | ({ANONYMOUS} if anonymous else set())
    others = {binding for binding in found - needed if binding.principal not in ours}
    opening = {binding for binding in others if _may_change(binding)}
    exact = {b for b in opening if b.name in NAMES and b.resource_pattern_type == ResourcePatternType.LITERAL}
    return AclChange(
        tuple(sorted(needed - found, key=told)),
        tuple(sorted((found - needed - others) | exact, key=told)),
        tuple(sorted(opening - exact, key=told)),
    )


def present(admin: AdminClient) -> list[AclBinding]:
    """The whole list of the cluster. Raises `KafkaException`."""
    any_text: Any = None  # the stubs ask for a text
    every = AclBindingFilter(
        ResourceType.ANY,
        any_text,
        ResourcePatternType.ANY,
        any_text,
        any_text,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found: list[AclBinding] = admin.describe_acls(every, request_timeout=WITHIN_S).result()
    return found


def make(admin: AdminClient, change: AclChange) -> None:
    """Make the change: nothing is refused meanwhile that is allowed before and after. Raises `KafkaException`."""
    add_all(admin, change.add)
    remove_all(admin, change.remove)


def add_all(admin: AdminClient, bindings: Iterable[AclBinding]) -> None:
    """Add these. Raises `KafkaException`."""
    if bindings := list(bindings):
        for future in admin.create_acls(bindings, request_timeout=WITHIN_S).values():
            future.result()


def remove_all(admin: AdminClient, bindings: Iterable[AclBinding]) -> None:
    """Remove these and no others. Raises `KafkaException`."""
    if exact := [AclBindingFilter(*binding._to_tuple()) for binding in bindings]:
        for future in admin.delete_acls(exact, request_timeout=WITHIN_S).values():
            future.result()


def told(binding: AclBinding) -> str:
    """One line of the list."""
    kind, name, pattern, principal, host, operation, permission = binding._to_tuple()
    of = f"{kind.name.lower()} {name}{'*' if pattern == ResourcePatternType.PREFIXED else ''}"
    may = "may" if permission == AclPermissionType.ALLOW else "may not"
    return f"{principal} {may} {operation.name.lower()} {of}" + ("" if host == "*" else f" from {host}")


def _allow(kind: ResourceType, name: str, principal: str, operation: AclOperation) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.LITERAL, principal, "*", operation, AclPermissionType.ALLOW)


def _may_change(binding: AclBinding) -> bool:
    """Whether it lets somebody write or change a topic of ours."""
    if binding.restype != ResourceType.TOPIC or binding.permission_type != AclPermissionType.ALLOW:
        return False
    prefix = binding.resource_pattern_type == ResourcePatternType.PREFIXED
    met = binding.name == "*" or any(n.startswith(binding.name) if prefix else n == binding.name for n in NAMES)
    return binding.operation in CHANGING and met
