"""How far old rows are sealed under their persons' keys, and which keys are destroyed or are to be."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """The rows themselves are sealed by the gateway while it serves: their keys are the vault's."""
    op.create_table(
        "sealings",
        sa.Column("name", Text, nullable=False),
        sa.Column("reached", Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sealings"),
    )
    op.create_table(
        "destructions",
        sa.Column("account_id", Text, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_destructions"),
    )
    is_due = sa.text("done_at IS NULL")
    op.create_index(
        "ix_destructions_due", "destructions", ["account_id"], sqlite_where=is_due, postgresql_where=is_due
    )


def downgrade() -> None:
    """What is sealed stays so: an earlier Sluice cannot read it, nor find an account by its address."""
    op.drop_table("destructions")
    op.drop_table("sealings")
