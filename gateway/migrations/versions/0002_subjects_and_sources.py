"""Subjects, sources and ids: events name their subject, postings their source, and ids end in `_id`.

The role that a running request is answered as, and the media type of a stored answer, move to its Idempotency-Key.
Indexes are named after the columns they begin with; constraints keep the names they have.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

# table → column → its name from now on. Plain SQL, which both databases know: Alembic would copy each table.
RENAMED = {
    "attempts": {"payment": "payment_id"},
    "cards": {"owner": "owner_id"},
    "idempotency_keys": {"account": "account_id", "payment": "subject_id"},
    "operations": {
        "payment": "payment_id",
        "attempt": "attempt_id",
        "of": "parent_id",
        "of_reference": "parent_reference",
        "worker": "worker_id",
    },
    "outbox": {"event": "event_id", "payment": "subject_id"},
    "payments": {"customer": "customer_id", "merchant": "merchant_id", "card": "card_id", "worker": "worker_id"},
    "postings": {"operation": "source_id", "payment": "payment_id"},
    "refresh_tokens": {"session": "session_id"},
    "reviews": {"payment": "payment_id"},
    "sessions": {"account": "account_id"},
    "verdicts": {"payment": "payment_id"},
}

# index → table, its columns, its name from now on
INDEXES = {
    "ix_attempts_payment": ("attempts", ["payment_id"], "ix_attempts_payment_id"),
    "ix_cards_owner": ("cards", ["owner_id", "created_at", "id"], "ix_cards_owner_id"),
    "ix_idempotency_keys_payment": ("idempotency_keys", ["subject_id"], "ix_idempotency_keys_subject_id"),
    "ix_operations_payment": ("operations", ["payment_id"], "ix_operations_payment_id"),
    "ix_outbox_payment": ("outbox", ["subject_id", "sequence"], "ix_outbox_subject_id"),
    "ix_payments_customer": ("payments", ["customer_id", "id"], "ix_payments_customer_id"),
    "ix_payments_merchant": ("payments", ["merchant_id", "id"], "ix_payments_merchant_id"),
    "ix_postings_operation": ("postings", ["source_id"], "ix_postings_source_id"),
    "ix_postings_payment": ("postings", ["payment_id"], "ix_postings_payment_id"),
    "ix_refresh_tokens_session": ("refresh_tokens", ["session_id"], "ix_refresh_tokens_session_id"),
    "ix_sessions_account": ("sessions", ["account_id"], "ix_sessions_account_id"),
    "ix_verdicts_payment": ("verdicts", ["payment_id"], "ix_verdicts_payment_id"),
}

KEEP_ROLE = """
    UPDATE idempotency_keys SET role = (SELECT viewer FROM payments WHERE payments.id = subject_id)
    WHERE status IS NULL AND subject_id IN (SELECT id FROM payments)
"""
KEEP_VIEWER = """
    UPDATE payments SET viewer = (SELECT max(role) FROM idempotency_keys WHERE payment = payments.id)
    WHERE id IN (SELECT payment FROM idempotency_keys WHERE status IS NULL)
"""


def upgrade() -> None:
    """Rename the columns, then move what belongs elsewhere. Answers stored so far are all JSON."""
    for index in INDEXES:
        op.drop_index(index)
    _rename(RENAMED)
    for table, columns, index in INDEXES.values():
        op.create_index(index, table, columns)
    op.add_column("postings", sa.Column("source_kind", Text, nullable=False, server_default="operation"))
    op.add_column("idempotency_keys", sa.Column("role", Text, nullable=False, server_default=""))
    op.add_column("idempotency_keys", sa.Column("media_type", Text, nullable=True))
    op.execute("UPDATE idempotency_keys SET media_type = 'application/json' WHERE status IS NOT NULL")
    op.execute(KEEP_ROLE)
    op.drop_column("payments", "viewer")


def downgrade() -> None:
    """Undo all of it; only operations may have posted."""
    op.add_column("payments", sa.Column("viewer", Text, nullable=False, server_default="customer"))
    for _, _, index in INDEXES.values():
        op.drop_index(index)
    _rename({table: {new: old for old, new in columns.items()} for table, columns in RENAMED.items()})
    for old, (table, columns, _) in INDEXES.items():
        names = {new: old for old, new in RENAMED[table].items()}
        op.create_index(old, table, [names.get(column, column) for column in columns])
    op.execute(KEEP_VIEWER)
    op.drop_column("idempotency_keys", "media_type")
    op.drop_column("idempotency_keys", "role")
    op.drop_column("postings", "source_kind")


def _rename(tables: dict[str, dict[str, str]]) -> None:
    for table, columns in tables.items():
        for old, new in columns.items():
            op.execute(f'ALTER TABLE {table} RENAME COLUMN "{old}" TO "{new}"')
