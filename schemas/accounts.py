"""What others are told of accounts: never who somebody is, only what became of the id that stands for them."""

from datetime import datetime
from typing import Literal

import msgspec

Role = Literal["customer", "merchant", "analyst", "admin"]
MerchantRole = Literal["owner", "operator", "viewer"]  # as what a person acts for a merchant

# What the bearer of an SQL token sees: everything; all payments without what tells cards and payers apart; or
# those of one merchant, as it sees them.
Sees = Literal["all", "without_cards", "own"]

# What the audit of the books has an entry of, and the dashboards filter by.
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
    "sales_stopped",
    "sales_resumed",
    "list_entry_put",
    "list_entry_removed",
    "lists_imported",
    "lists_exported",
    "review_decided",
    "review_taken",
    "review_given_back",
    "labels_imported",
    "labels_decided",
    "task_decided",
    "rule_created",
    "rule_changed",
    "rule_snoozed",
    "rule_removed",
    "dead_letter_replayed",
    "export",
    "link_made",
    "sql_token_created",
    "sql_token_revoked",
    "reader_named",
    "reader_unnamed",
]


class AccountChanged(msgspec.Struct, frozen=True):
    """`account.changed`: what an account is from now on. `disabled`: nobody logs in with it.

    `trading_name`: of a merchant, a firm's; null of everybody else. `sequence` counts the account's events from 1.
    """

    account: str
    sequence: int
    role: Role
    disabled: bool
    trading_name: str | None
    recorded_at: datetime


class AccountErased(msgspec.Struct, frozen=True):
    """`account.erased`: nothing is known of the person behind this id any more, and nothing may be kept by it.

    Whoever keeps something of their own about the person removes it; what was paid stays, under the bare id.
    """

    account: str
    role: Role
    recorded_at: datetime


class SqlReader(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose an SQL token is, and what they see now. `merchant_id`: of `own`, whose payments."""

    token_id: str
    account_id: str
    sees: Sees
    merchant_id: str | None = None
