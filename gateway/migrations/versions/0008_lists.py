"""Indexes for every filter of a list, and the client's own reference of a payment.

What is null, or the same in nearly every row, is left out of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

# index → table, columns, which rows (None: all)
NEW: dict[str, tuple[str, list[str], str | None]] = {
    "ix_payments_currency": ("payments", ["currency", "id"], None),
    "ix_payments_amount": ("payments", ["amount", "id"], None),
    "ix_payments_processor": ("payments", ["processor", "id"], "processor IS NOT NULL"),
    "ix_payments_last4": ("payments", ["last4", "id"], "last4 IS NOT NULL"),
    "ix_payments_reference": ("payments", ["reference", "id"], "reference IS NOT NULL"),
    "ix_payments_state": ("payments", ["state", "id"], "state != 'captured'"),
    "ix_payments_risk_outcome": ("payments", ["risk_outcome", "id"], "risk_outcome != 'allow'"),
    "ix_operations_payment_id": ("operations", ["payment_id", "ordinal", "id"], None),
    "ix_cards_owner_id": ("cards", ["owner_id", "created_at", "id"], "deleted_at IS NULL"),
    "ix_reviews_open": ("reviews", ["id"], "decision IS NULL"),
    "ix_reviews_decided": ("reviews", ["id"], "decision IS NOT NULL"),
}
OLD: dict[str, tuple[str, list[str], str | None]] = {
    "ix_payments_risk_outcome": ("payments", ["risk_outcome", "id"], None),
    "ix_operations_payment_id": ("operations", ["payment_id"], None),
    "ix_operations_finished_at": ("operations", ["finished_at"], None),
    "ix_cards_owner_id": ("cards", ["owner_id", "created_at", "id"], None),
    "ix_reviews_decision": ("reviews", ["decision", "id"], None),
}


def upgrade() -> None:
    """Add the column, then change the indexes."""
    op.add_column("payments", sa.Column("reference", Text, nullable=True))
    _replace(OLD, NEW)


def downgrade() -> None:
    """Undo all of it."""
    _replace(NEW, OLD)
    op.drop_column("payments", "reference")


def _replace(
    gone: dict[str, tuple[str, list[str], str | None]], made: dict[str, tuple[str, list[str], str | None]]
) -> None:
    for name, (table, _, _) in gone.items():
        op.drop_index(name, table)
    for name, (table, columns, rows) in made.items():
        where = sa.text(rows) if rows else None
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
