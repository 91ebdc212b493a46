"""Which addresses were confirmed, what asks for it, and how often a recipient was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001
IS_WAITING = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    """Add columns and tables; the addresses that are there count as confirmed."""
    op.add_column("accounts", sa.Column("new_email", Text, nullable=True))
    op.add_column("accounts", sa.Column("email_confirmed_at", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("phone_confirmed_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE accounts SET email_confirmed_at = created_at WHERE email IS NOT NULL")
    op.execute("UPDATE accounts SET phone_confirmed_at = created_at WHERE phone IS NOT NULL")
    op.create_table(
        "confirmations",
        sa.Column("account_id", Text, nullable=False),
        sa.Column("channel", Text, nullable=False),
        sa.Column("id", Text, nullable=False),
        sa.Column("address", Text, nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("guesses", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "channel", name="pk_confirmations"),
    )
    op.create_index("ix_confirmations_secret_hash", "confirmations", ["secret_hash"])
    op.create_index(
        "ix_confirmations_due_at",
        "confirmations",
        ["channel", "due_at"],
        sqlite_where=IS_WAITING,
        postgresql_where=IS_WAITING,
    )
    op.create_table(
        "recipients",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("recent", Text, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_recipients"),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table("recipients")
    op.drop_table("confirmations")
    op.drop_column("accounts", "phone_confirmed_at")
    op.drop_column("accounts", "email_confirmed_at")
    op.drop_column("accounts", "new_email")
