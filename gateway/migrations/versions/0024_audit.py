"""The audit of the books: its chain, and the head that its writers wait for; merchants by their origins."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0022"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add both tables. In PostgreSQL their owner may add to the audit, and change nothing in it."""
    op.create_table(
        "audit",
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("actor_id", Text, nullable=False),
        sa.Column("subject_id", Text, nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.Column("hash", Text, nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_audit"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("hash", Text, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_audit_heads"),
    )
    for leader in ("actor_id", "subject_id", "kind"):
        op.create_index(f"ix_audit_{leader}", "audit", [leader, "at", "n"])
    op.create_index("ix_audit_at", "audit", ["at", "n"])
    has_origins = sa.text("return_origins != '[]' AND suspended_at IS NULL")
    op.create_index(
        "ix_accounts_origins", "accounts", ["id"], sqlite_where=has_origins, postgresql_where=has_origins
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER, PUBLIC")


def downgrade() -> None:
    """Undo it."""
    op.drop_index("ix_accounts_origins", "accounts")
    op.drop_table("audit_heads")
    op.drop_table("audit")
