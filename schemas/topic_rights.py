"""Who may write and read which topic: the access control list of Kafka, as data.

`sluice kafka apply` makes it so. What is not listed is refused.
"""

from typing import Literal, get_args

import msgspec

from schemas.topics import (
    ACCOUNTS,
    ALERTS,
    CONTROLS,
    DEAD_LETTER,
    LABELS,
    LATEST_PAYMENTS,
    NOTIFICATIONS,
    OPERATIONS,
    PAYMENTS,
    REVIEWS,
    RISK,
)

# The services, and two for operators: `operator` reads for commands (reconcile, fraud replay), `admin` makes
# topics, users and these rights, and may do everything.
Principal = Literal["gateway", "fraud", "notifications", "analytics", "sql", "operator", "admin"]
PRINCIPALS: tuple[Principal, ...] = get_args(Principal)
GROUP = "unused"  # clients of ours name a group, as they must, and keep their offsets elsewhere
ANONYMOUS = "User:ANONYMOUS"  # what Kafka calls whoever comes without a password


class TopicRights(msgspec.Struct, frozen=True):
    """Who writes a topic and who reads it. `reason`: why it has more than one writer."""

    topic: str
    writers: tuple[Principal, ...]
    readers: tuple[Principal, ...]
    reason: str = ""


# The gateway reads every topic: admins look at dead letters there, and have what is readable by now sent again.
EVERYWHERE: tuple[Principal, ...] = ("gateway", "analytics", "sql", "operator")

RIGHTS: tuple[TopicRights, ...] = (
    TopicRights(PAYMENTS.name, ("gateway",), (*EVERYWHERE, "fraud", "notifications")),
    TopicRights(OPERATIONS.name, ("gateway",), EVERYWHERE),
    TopicRights(REVIEWS.name, ("gateway",), EVERYWHERE),
    TopicRights(RISK.name, ("fraud",), EVERYWHERE),
    TopicRights(LABELS.name, ("gateway",), (*EVERYWHERE, "fraud")),
    TopicRights(CONTROLS.name, ("gateway",), (*EVERYWHERE, "fraud")),
    TopicRights(ACCOUNTS.name, ("gateway",), EVERYWHERE),
    TopicRights(NOTIFICATIONS.name, ("notifications",), (*EVERYWHERE, "notifications")),
    TopicRights(
        ALERTS.name,
        ("gateway", "fraud"),
        EVERYWHERE,
        "each raises alerts of what it alone sees; the gateway obeys none of them",
    ),
    TopicRights(
        DEAD_LETTER.name,
        ("fraud", "notifications", "analytics"),
        EVERYWHERE,
        "whoever cannot read a record sets it aside; a letter names a record and is not believed otherwise",
    ),
    TopicRights(LATEST_PAYMENTS.name, ("analytics",), ("gateway", "operator")),
)


def owner(topic: str) -> Principal:
    """The service whose word a topic is: its first writer."""
    return next(rights.writers[0] for rights in RIGHTS if rights.topic == topic)


def user(principal: Principal) -> str:
    """The name that a service has at Kafka."""
    return f"sluice-{principal}"
