"""SQL tokens of persons."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "sql_tokens",
        sa.Column("id", Text, nullable=False),
        sa.Column("account_id", Text, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", Text, nullable=False),
        sa.Column("created_by", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sql_tokens_account"),
        sa.PrimaryKeyConstraint("id", name="pk_sql_tokens"),
        sa.UniqueConstraint("hash", name="uq_sql_tokens_hash"),
    )
    op.create_index("ix_sql_tokens_account_id", "sql_tokens", ["account_id", "id"])


def downgrade() -> None:
    """Undo it; who had a token has none any more."""
    op.drop_table("sql_tokens")
