"""Tasks, and what a processor has not decided yet."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001
OPEN = sa.text("resolved_at IS NULL")
RESOLVED = sa.text("resolved_at IS NOT NULL")


def upgrade() -> None:
    """What was refused so far is asked for again from the beginning, and then becomes a task."""
    op.create_table(
        "tasks",
        sa.Column("id", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("payment_id", Text, nullable=False),
        sa.Column("operation_id", Text, nullable=False),
        sa.Column("about_id", Text, nullable=False),
        sa.Column("tried", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", Text, nullable=True),
        sa.Column("reason", Text, nullable=True),
        sa.Column("resolved_by", Text, nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
    )
    op.create_index("uq_tasks_open", "tasks", ["about_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_tasks_open", "tasks", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_tasks_resolved", "tasks", ["id"], sqlite_where=RESOLVED, postgresql_where=RESOLVED)
    for table in ("payments", "operations", "refunds"):
        op.add_column(table, sa.Column("pending_reason", Text, nullable=True))


def downgrade() -> None:
    """Undo all of it; tasks are forgotten."""
    for table in ("refunds", "operations", "payments"):
        op.drop_column(table, "pending_reason")
    op.drop_table("tasks")
