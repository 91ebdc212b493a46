"""The books' clock; what recovery has to do by processor; operations in the order in which they were opened.

That a payer may have approved is asked for by the lease of the order's operation, no longer by the payment's own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

# index → table, its columns, and for which rows
INDEXES = {
    "ix_operations_sending": ("operations", ["lease_until"], "status = 'sending'"),
    "ix_operations_due": (
        "operations",
        ["processor", "lease_until"],
        "lease_until IS NOT NULL AND status != 'sending'",
    ),
    "ix_payments_due": ("payments", ["recovery_point", "processor", "lease_until"], "lease_until IS NOT NULL"),
}
ASK_ABOUT_ORDERS = """
    UPDATE operations SET lease_until = (SELECT updated_at FROM payments WHERE payments.id = payment_id)
    WHERE kind = 'order' AND status = 'succeeded'
        AND payment_id IN (SELECT id FROM payments WHERE state = 'requires_action')
"""
COUNT_OPERATIONS = """
    UPDATE operations SET ordinal = (
        SELECT count(*) FROM operations o WHERE o.payment_id = operations.payment_id
            AND (o.created_at, o.id) < (operations.created_at, operations.id)
    )
"""
LEASE_BY_PAYMENT = """
    UPDATE payments SET lease_until = updated_at + 10800000000 WHERE state = 'requires_action'
"""


def upgrade() -> None:
    """What was opened before keeps the order of its times."""
    op.create_table(
        "clocks",
        sa.Column("boot_id", Text, nullable=False),
        sa.Column("offset_us", sa.BigInteger(), nullable=False),
        sa.Column("kept_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("boot_id", name="pk_clocks"),
    )
    op.add_column("operations", sa.Column("ordinal", sa.Integer(), nullable=False, server_default="0"))
    op.execute(COUNT_OPERATIONS)
    op.execute(ASK_ABOUT_ORDERS)
    op.execute("UPDATE payments SET lease_until = NULL WHERE state = 'requires_action'")
    for table in ("operations", "payments"):
        op.drop_index(f"ix_{table}_lease_until", table)
    for name, (table, columns, rows) in INDEXES.items():
        op.create_index(name, table, columns, sqlite_where=sa.text(rows), postgresql_where=sa.text(rows))


def downgrade() -> None:
    """Undo all of it."""
    for name, (table, _, _) in INDEXES.items():
        op.drop_index(name, table)
    for table in ("operations", "payments"):
        op.create_index(f"ix_{table}_lease_until", table, ["lease_until"])
    op.execute(LEASE_BY_PAYMENT)
    op.execute("UPDATE operations SET lease_until = NULL WHERE kind = 'order' AND status = 'succeeded'")
    op.drop_column("operations", "ordinal")
    op.drop_table("clocks")
