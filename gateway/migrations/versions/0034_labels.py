"""Labels as they were given: what was told of, what waits for a person, what a weightier one outvotes."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add their table, and a way from a processor's reference to its operation."""
    op.create_table(
        "labels",
        sa.Column("id", Text, nullable=False),
        sa.Column("payment_id", Text, nullable=False),
        sa.Column("merchant_id", Text, nullable=False),
        sa.Column("label", Text, nullable=False),
        sa.Column("source", Text, nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("waits_for", Text, nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("recorded_by", Text, nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", Text, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_labels_payment"),
        sa.UniqueConstraint("payment_id", "label", "source", name="uq_labels_said"),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
    )
    is_waiting = sa.text("state = 'waiting'")
    op.create_index(
        "ix_labels_due_at",
        "labels",
        ["due_at", "id"],
        sqlite_where=is_waiting,
        postgresql_where=is_waiting,
    )
    op.create_index(
        "ix_labels_waiting",
        "labels",
        ["id"],
        sqlite_where=is_waiting,
        postgresql_where=is_waiting,
    )
    op.create_index("ix_operations_reference", "operations", ["processor_reference"])


def downgrade() -> None:
    """Undo it; what was told stays on the topic."""
    op.drop_index("ix_operations_reference", "operations")
    op.drop_table("labels")
