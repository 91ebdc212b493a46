"""Devices and networks that an account knows, each with tries of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """No rows: an account knows whoever logs in from now on."""
    op.create_table(
        "known_callers",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_known_callers_account"),
        sa.PrimaryKeyConstraint("hash", name="pk_known_callers"),
    )
    op.create_index("ix_known_callers_account_id", "known_callers", ["account_id", "kind", "expires_at"])


def downgrade() -> None:
    """Forget them."""
    op.drop_table("known_callers")
