"""Entries of the block and allow lists, as analysts make them."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add their table. Those of earlier releases stay in `controls`, and are obeyed."""
    op.create_table(
        "list_entries",
        sa.Column("id", Text, nullable=False),
        sa.Column("list", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("value", Text, nullable=False),
        sa.Column("shown", sa.LargeBinary(), nullable=True),
        sa.Column("reason", Text, nullable=False),
        sa.Column("owner_id", Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_list_entries"),
        sa.UniqueConstraint("value", "kind", "list", name="uq_list_entries_value"),
    )
    for leader in ("owner_id", "kind", "list"):
        op.create_index(f"ix_list_entries_{leader}", "list_entries", [leader, "id"])
    expires = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "ix_list_entries_expires_at",
        "list_entries",
        ["expires_at"],
        sqlite_where=expires,
        postgresql_where=expires,
    )


def downgrade() -> None:
    """Undo it; what the fraud flow was told it goes on obeying."""
    op.drop_table("list_entries")
