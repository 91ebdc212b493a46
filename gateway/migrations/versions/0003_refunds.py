"""Refunds, captures in parts, and what a processor refused."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

INDEXES = {
    "ix_refunds_payment_id": ["payment_id", "id"],
    "ix_refunds_customer_id": ["customer_id", "id"],
    "ix_refunds_merchant_id": ["merchant_id", "id"],
}


# What is in flight and a merchant asked for: it may be refused.
KEEP_REQUESTED_BY = """
    UPDATE operations SET requested_by = (SELECT merchant_id FROM payments WHERE payments.id = payment_id)
    WHERE status IN ('sending', 'unknown') AND (
        (kind = 'capture' AND payment_id IN (SELECT id FROM payments WHERE capture = 'manual'))
        OR (kind = 'void' AND payment_id IN (SELECT id FROM payments WHERE state = 'authorized'))
    )
"""


def upgrade() -> None:
    """Captures so far were the only ones of their authorizations, and final."""
    op.create_table(
        "refunds",
        sa.Column("id", Text, nullable=False),
        sa.Column("payment_id", Text, nullable=False),
        sa.Column("customer_id", Text, nullable=False),
        sa.Column("merchant_id", Text, nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("reason", Text, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_refunded", sa.BigInteger(), nullable=False),
        sa.Column("status", Text, nullable=False),
        sa.Column("decline_code", Text, nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
    )
    for name, columns in INDEXES.items():
        op.create_index(name, "refunds", columns)
    op.add_column("payments", sa.Column("last_refusal", Text, nullable=True))
    op.add_column("operations", sa.Column("part", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("operations", sa.Column("final", sa.Boolean(), nullable=False, server_default=sa.true()))
    for name in ("refund_id", "replaces_id", "requested_by"):
        op.add_column("operations", sa.Column(name, Text, nullable=True))
    op.execute(KEEP_REQUESTED_BY)


def downgrade() -> None:
    """Undo all of it; what refunds posted stays."""
    for name in ("requested_by", "replaces_id", "refund_id", "final", "part"):
        op.drop_column("operations", name)
    op.drop_column("payments", "last_refusal")
    op.drop_table("refunds")
