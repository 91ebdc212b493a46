"""Mails about an account, whom a one-time link was mailed to, the sequence of an account's events."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001
IS_UNCONFIRMED = sa.text("role = 'customer' AND email_confirmed_at IS NULL AND erased_at IS NULL")


def upgrade() -> None:
    """An account that was erased has had one event."""
    op.add_column("one_time_links", sa.Column("recipient", sa.LargeBinary(), nullable=True))
    op.add_column("accounts", sa.Column("events", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE accounts SET events = 1 WHERE erased_at IS NOT NULL")
    op.create_index("ix_accounts_role", "accounts", ["role", "id"])
    op.create_index(
        "ix_accounts_unconfirmed",
        "accounts",
        ["id"],
        sqlite_where=IS_UNCONFIRMED,
        postgresql_where=IS_UNCONFIRMED,
    )
    op.create_table(
        "letters",
        sa.Column("id", Text, nullable=False),
        sa.Column("account_id", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=True),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_letters_account"),
        sa.PrimaryKeyConstraint("id", name="pk_letters"),
    )
    op.create_index("ix_letters_due_at", "letters", ["due_at"])
    op.create_index("ix_letters_account_id", "letters", ["account_id"])


def downgrade() -> None:
    """Undo it."""
    op.drop_table("letters")
    op.drop_index("ix_accounts_unconfirmed", "accounts")
    op.drop_index("ix_accounts_role", "accounts")
    op.drop_column("accounts", "events")
    op.drop_column("one_time_links", "recipient")
