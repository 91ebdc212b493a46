"""The audit: who logged in, changed a right, decided or took data out, in the transaction that did it."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import announce
from gateway.log_lines import LogLine
from schemas.times import from_micros, now_micros

ActKind = Literal[
    "login",
    "login_refused",
    "logout",
    "session_revoked",
    "password_changed",
    "password_reset",
    "second_factor_set",
    "second_factor_removed",
    "recovery_code_used",
    "account_created",
    "account_changed",
    "account_erased",
    "role_changed",
    "account_disabled",
    "account_enabled",
    "person_added",
    "person_removed",
    "client_created",
    "client_rotated",
    "client_revoked",
    "merchant_created",
    "merchant_suspended",
    "merchant_resumed",
    "review_decided",
    "task_decided",
    "export",
    "link_made",
]


class Act(msgspec.Struct, frozen=True):
    """What somebody did. `actor_id`: of an account or client, empty where nobody is known; `subject_id`: to what.

    `detail`: ids, roles, scopes and reasons of staff; no secret, and nothing personal.
    """

    kind: ActKind
    actor_id: str
    subject_id: str
    detail: Mapping[str, str] = {}


class ActLine(LogLine, frozen=True, kw_only=True):
    """An act as the log shows it."""

    kind: ActKind
    actor_id: str
    subject_id: str


def record(conn: Connection, act: Act) -> None:
    """Write down what the transaction does."""
    at = from_micros(now_micros())
    announce(
        conn,
        ActLine(
            event="act.recorded", timestamp=at, kind=act.kind, actor_id=act.actor_id, subject_id=act.subject_id
        ),
    )
