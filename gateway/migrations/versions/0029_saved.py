"""What people save under a name: filters of a page, questions in SQL."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "saved",
        sa.Column("id", Text, nullable=False),
        sa.Column("account_id", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("name", Text, nullable=False),
        sa.Column("content", Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_saved_account"),
        sa.PrimaryKeyConstraint("id", name="pk_saved"),
    )
    op.create_index("ix_saved_account_id", "saved", ["account_id", "kind", "id"])


def downgrade() -> None:
    """Undo it; what was saved is gone."""
    op.drop_table("saved")
